"""Cut a TCP stream into OSC packets, in either of the two ways that clients use.

OSC 1.1 asks for SLIP (RFC 1055), which some clients write with an END byte on both sides of a packet and
some only between packets; OSC 1.0 clients (liblo, SuperCollider) send the length first. The first byte tells.
"""

import struct
from collections.abc import Iterator
from typing import Protocol

from pythonosc import slip

from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.packet import MAX_PACKET_BYTES

_LENGTH_BYTES = 4


class StreamBroken(OscError):
    """What comes next in a stream cannot be found any more; the connection has to end."""


class Framing(Protocol):
    """One way of putting packets on a stream; `frame` is the reverse of `feed`."""

    @property
    def waiting(self) -> bool:
        """Whether a packet has begun and not ended."""
        ...

    def feed(self, data: bytes) -> Iterator[bytes | OscError]:
        """Take bytes as they come; give each packet when it is whole, or why it cannot be read."""
        ...

    def frame(self, packet: bytes) -> bytes:
        """Put one packet into the form of the stream."""
        ...


class LengthPrefixed:
    """OSC 1.0: four bytes of length before each packet."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether a packet has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes | OscError]:
        """Take bytes as they come; give each packet when it is whole.

        Raises
        ------
        StreamBroken
            When a length is negative or above `MAX_PACKET_BYTES`.
        """
        self._buffer += data
        while len(self._buffer) >= _LENGTH_BYTES:
            (size,) = struct.unpack(">i", self._buffer[:_LENGTH_BYTES])
            if not 0 <= size <= MAX_PACKET_BYTES:
                raise StreamBroken("too_large", f"frame of {size} bytes; the most is {MAX_PACKET_BYTES}")
            if len(self._buffer) < _LENGTH_BYTES + size:
                return
            packet = bytes(self._buffer[_LENGTH_BYTES : _LENGTH_BYTES + size])
            del self._buffer[: _LENGTH_BYTES + size]
            yield packet

    def frame(self, packet: bytes) -> bytes:
        """Put the length before a packet."""
        return struct.pack(">i", len(packet)) + packet


class Slip:
    """OSC 1.1: packets between END bytes, with one or two ENDs between packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether a packet has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes | OscError]:
        """Take bytes as they come; give each packet when it is whole, or why it cannot be read.

        Raises
        ------
        StreamBroken
            When no END comes within twice `MAX_PACKET_BYTES` (every byte may be escaped).
        """
        *whole, rest = data.split(slip.END)
        for piece in whole:
            self._buffer += piece
            packet = bytes(self._buffer)
            self._buffer.clear()
            if packet:
                yield _unescaped(packet)
        self._buffer += rest
        if len(self._buffer) > 2 * MAX_PACKET_BYTES:
            raise StreamBroken("too_large", f"no end of frame after {len(self._buffer)} bytes")

    def frame(self, packet: bytes) -> bytes:
        """Escape a packet and put END on both sides."""
        return bytes(slip.encode(packet))


def _unescaped(packet: bytes) -> bytes | OscError:
    try:
        return bytes(slip.decode(packet))
    except slip.ProtocolError:
        return OscError("malformed", "SLIP escape byte followed by neither 0xDC nor 0xDD")


def is_http(first_byte: int) -> bool:
    """Whether a stream can be HTTP: a method is in capital letters."""
    return ord("A") <= first_byte <= ord("Z")


def recognise(first_byte: int) -> type[LengthPrefixed] | type[Slip] | None:
    """Tell the framing from the first byte of a stream; None if it is neither."""
    if first_byte == 0:
        return LengthPrefixed
    if bytes([first_byte]) in (slip.END, b"/", b"#"):
        return Slip
    return None
