"""Check an OSC 1.0 packet in one pass; only then does python-osc decode it.

python-osc trusts the sizes inside a packet: a bundle element of length -4 makes it loop for ever, deep
nesting ends in a RecursionError, one Latin-1 letter loses the message, and an unknown type tag shifts all
arguments after it. So every size, count and tag is checked here first, and what python-osc cannot read
(tags `S`, `c`, `I` and old Latin-1 text) is rewritten into what it can.

Source: Open Sound Control 1.0, https://opensoundcontrol.stanford.edu/spec-1_0.html
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from soundlasso.bridge.osc.errors import OscError

MAX_PACKET_BYTES = 1 << 18  # a TCP frame; a UDP datagram cannot exceed 65507
MAX_ADDRESS_BYTES = 512
MAX_DEPTH = 8  # of bundles in bundles, and of arrays in arrays
MAX_MESSAGES = 1024  # in one packet
MAX_TAGS = 256  # in one message

FLOAT32_MAX = struct.unpack(">f", b"\x7f\x7f\xff\xff")[0]
BUNDLE_MARK = b"#bundle\0"
NTP_TO_UNIX_S = 2_208_988_800  # from 1 January 1900 to 1970
NTP_ERA_S = 1 << 32  # the seconds wrap in February 2036

_FIXED_BYTES = {"i": 4, "f": 4, "r": 4, "m": 4, "h": 8, "d": 8, "t": 8, "T": 0, "F": 0, "N": 0, "I": 0}
# "I" (infinitum, also called impulse or bang) fires a trigger, as true does; a time tag is a plain number.
_REWRITTEN = {"I": "T", "t": "h"}


@dataclass(frozen=True, slots=True)
class Message:
    """An address (or address pattern) and its arguments; `latin1` if some text was not UTF-8."""

    address: str
    args: tuple[Any, ...] = ()
    latin1: bool = False


@dataclass(frozen=True, slots=True)
class Bundle:
    """Messages and bundles that take effect together, at `due_s` (Unix time) or at once (None)."""

    due_s: float | None
    elements: tuple["Message | Bundle", ...]
    size: int = field(default=0, compare=False)  # in bytes, as it came


def decode(data: bytes) -> Message | Bundle:
    """Decode one packet, or say what is wrong with it.

    Parameters
    ----------
    data
        One datagram or one frame of a stream.

    Raises
    ------
    OscError
        With code ``malformed`` or ``too_large``; nothing else, whatever the bytes are.
    """
    if len(data) > MAX_PACKET_BYTES:
        raise OscError("too_large", f"packet of {len(data)} bytes; the most is {MAX_PACKET_BYTES}")
    return _Decoder().element(data, depth=0)


def encode(address: str, args: Sequence[Any] = ()) -> bytes:
    """Encode one message with the tags every client reads: i, f and s, and others only where these cannot do.

    Booleans become 1 and 0, as many readers skip `T` and `F`; `d` (which Max reads as 0) is only for numbers
    beyond the range of `f`.
    """
    builder = OscMessageBuilder(address)
    for arg in args:
        _add_argument(builder, arg)
    return bytes(builder.build().dgram)


def _add_argument(builder: OscMessageBuilder, arg: Any) -> None:
    if isinstance(arg, bool):
        arg = int(arg)
    elif isinstance(arg, str):
        arg = arg.encode("utf-8", "replace").decode()  # a file name may hold bytes that are no text
    elif arg == b"":
        arg = None  # python-osc refuses to build an empty blob
    is_double = isinstance(arg, float) and math.isfinite(arg) and abs(arg) > FLOAT32_MAX
    builder.add_arg(arg, "d" if is_double else None)


def unix_time(time_tag: int) -> float | None:
    """Convert an NTP time tag to Unix seconds; None is the special tag for "at once".

    Tags without the top bit are of the era that starts in 2036, as RFC 4330 section 3 says.
    A tag of 0 is not in the standard, but some clients send it for "at once".
    """
    if time_tag <= 1:
        return None
    seconds = time_tag / (1 << 32) - NTP_TO_UNIX_S
    return seconds if time_tag >> 63 else seconds + NTP_ERA_S


class _Decoder:
    """Counts the messages of one packet, over all its bundles."""

    def __init__(self) -> None:
        self.messages = 0

    def element(self, data: bytes, depth: int) -> Message | Bundle:
        if data.startswith(BUNDLE_MARK):
            return self.bundle(data, depth)
        self.messages += 1
        if self.messages > MAX_MESSAGES:
            raise OscError("too_large", f"more than {MAX_MESSAGES} messages in one packet")
        return _message(data)

    def bundle(self, data: bytes, depth: int) -> Bundle:
        if depth == MAX_DEPTH:
            raise OscError("malformed", f"bundles nested deeper than {MAX_DEPTH}")
        cursor = _Cursor(data, len(BUNDLE_MARK))
        due_s = unix_time(int.from_bytes(cursor.take(8, "time tag")))
        elements = []
        while cursor.left:
            size = cursor.size("bundle element")
            elements.append(self.element(cursor.take(size, "bundle element"), depth + 1))
        return Bundle(due_s, tuple(elements), len(data))


class _Cursor:
    """A place in a packet that only moves forward and never past the end."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int, what: str) -> bytes:
        if size > self.left:
            raise OscError("malformed", f"{what} needs {size} bytes, {self.left} are left")
        start, self.at = self.at, self.at + size
        return self.data[start : self.at]

    def size(self, what: str) -> int:
        size = int(struct.unpack(">i", self.take(4, f"size of {what}"))[0])
        if size < 0:
            raise OscError("malformed", f"{what} of negative size {size}")
        return size

    def string(self, what: str) -> bytes:
        """Take a string with its padding; return it without."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise OscError("malformed", f"{what} without its terminating zero")
        start = self.at
        self.take(_padded(end + 1 - start), what)
        return self.data[start:end]

    def blob(self) -> bytes:
        """Take a blob with its size and padding; return all of it."""
        start = self.at
        self.take(_padded(self.size("blob")), "blob")
        return self.data[start : self.at]


def _padded(size: int) -> int:
    return size + -size % 4


def _string(text: bytes) -> bytes:
    return text + bytes(4 - len(text) % 4)


def _utf8(text: bytes) -> bytes:
    """Text from before UTF-8 is read as Latin-1, in which every byte is a letter."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()
    return text


def _message(data: bytes) -> Message:
    """Check one message, rewrite what python-osc cannot read, and decode it."""
    cursor = _Cursor(data)
    raw_address = cursor.string("address")
    _check_address(raw_address)
    raw_tags = cursor.string("type tags") if cursor.left else b","
    tags, values, latin1 = _arguments(_tag_letters(raw_tags), cursor)
    if cursor.left:
        raise OscError("malformed", f"{cursor.left} bytes after the last argument")
    address = _utf8(raw_address)
    clean = OscMessage(_string(address) + _string(b"," + tags.encode()) + values)
    return Message(clean.address, tuple(clean.params), latin1 or address != raw_address)


def _check_address(address: bytes) -> None:
    if len(address) > MAX_ADDRESS_BYTES:
        raise OscError("too_large", f"address of {len(address)} bytes; the most is {MAX_ADDRESS_BYTES}")
    if not address.startswith((b"/", b"#")):  # "#reply" is how Ardour answers by default
        raise OscError("malformed", f"an address starts with '/', not {address[:16]!r}")


def _tag_letters(tags: bytes) -> str:
    if not tags.startswith(b","):
        raise OscError("malformed", f"type tags start with ',', not {tags[:16]!r}")
    if len(tags) - 1 > MAX_TAGS:
        raise OscError("too_large", f"{len(tags) - 1} type tags; the most is {MAX_TAGS}")
    return tags[1:].decode("latin-1")


def _arguments(letters: str, cursor: _Cursor) -> tuple[str, bytes, bool]:
    """Walk the arguments; return tags and bytes that python-osc reads, and whether some text was Latin-1."""
    tags, values, latin1, depth = [], [], False, 0
    for letter in letters:
        if letter in "[]":
            depth += 1 if letter == "[" else -1
            if not 0 <= depth <= MAX_DEPTH:
                raise OscError(
                    "malformed", f"arrays unbalanced or deeper than {MAX_DEPTH} in {letters[:32]!r}"
                )
            tag, value = letter, b""
        elif letter in "sS":
            text = cursor.string("string")
            tag, value = "s", _string(_utf8(text))
            latin1 |= _utf8(text) != text
        else:
            tag, value = _plain_argument(letter, cursor)
        tags.append(tag)
        values.append(value)
    if depth:
        raise OscError("malformed", f"array not closed in {letters[:32]!r}")
    return "".join(tags), b"".join(values), latin1


def _plain_argument(letter: str, cursor: _Cursor) -> tuple[str, bytes]:
    """Take one argument that is neither text nor a bracket."""
    if letter == "b":
        return "b", cursor.blob()
    if letter == "c":
        return "s", _string(_character(cursor.take(4, "character")))
    if letter not in _FIXED_BYTES:
        raise OscError("malformed", f"unknown type tag {letter!r}; known are {''.join(_FIXED_BYTES)}sScb[]")
    return _REWRITTEN.get(letter, letter), cursor.take(_FIXED_BYTES[letter], f"argument {letter!r}")


def _character(code: bytes) -> bytes:
    number = int.from_bytes(code)
    if number == 0 or number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise OscError("malformed", f"character code {number} is no character")
    return chr(number).encode()
