"""Every packet is decoded as python-osc decodes it, or refused with a reason; nothing hangs or crashes.

Exact equality throughout: decoding has no tolerance.
"""

import math
import random
import struct
import time
from typing import Any

import pytest
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from soundlasso.bridge.osc import packet
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.packet import Bundle, Message, decode, encode, unix_time

AT_ONCE = struct.pack(">Q", 1)
DECODE_LIMIT_S = 1.0


def padded(text: bytes) -> bytes:
    return text + bytes(4 - len(text) % 4)


def raw_message(address: bytes, tags: bytes, values: bytes = b"") -> bytes:
    return padded(address) + padded(tags) + values


def raw_bundle(*elements: bytes, time_tag: bytes = AT_ONCE) -> bytes:
    return b"#bundle\0" + time_tag + b"".join(struct.pack(">i", len(e)) + e for e in elements)


def nested(depth: int) -> bytes:
    data = raw_message(b"/x", b",")
    for _ in range(depth):
        data = raw_bundle(data)
    return data


REFUSED = {
    "empty": (b"", "malformed"),
    "one byte": (b"/", "malformed"),
    "address without zero": (b"/abc", "malformed"),
    "tags without comma": (raw_message(b"/abc", b"ii"), "malformed"),
    "arguments missing": (raw_message(b"/abc", b",iii", b"\0\0\0\1"), "malformed"),
    "float cut short": (raw_message(b"/abc", b",f", b"\x3f"), "malformed"),
    "string cut short": (raw_message(b"/abc", b",s", b"abcd"), "malformed"),
    "bytes left over": (raw_message(b"/abc", b",i", bytes(8)), "malformed"),
    "unknown tag": (raw_message(b"/abc", b",x", bytes(4)), "malformed"),
    "blob of negative size": (raw_message(b"/abc", b",b", struct.pack(">i", -8) + b"1234"), "malformed"),
    "blob of huge size": (raw_message(b"/abc", b",b", struct.pack(">i", 0x7FFFFFFF) + b"1234"), "malformed"),
    "character beyond Unicode": (raw_message(b"/abc", b",c", b"\xff\xff\xff\xff"), "malformed"),
    "bundle without time tag": (b"#bundle\0", "malformed"),
    "bundle with half a time tag": (b"#bundle\0" + bytes(4), "malformed"),
    "element of size -4": (b"#bundle\0" + AT_ONCE + struct.pack(">i", -4), "malformed"),
    "element of size -8": (b"#bundle\0" + AT_ONCE + struct.pack(">i", -8) + b"1234", "malformed"),
    "element of size 0": (b"#bundle\0" + AT_ONCE + struct.pack(">i", 0), "malformed"),
    "element longer than packet": (
        b"#bundle\0" + AT_ONCE + struct.pack(">i", 1000) + padded(b"/abc"),
        "malformed",
    ),
    "200 nested bundles": (nested(200), "malformed"),
    "3000 nested bundles": (nested(3000), "malformed"),
    "9 nested bundles": (nested(packet.MAX_DEPTH + 1), "malformed"),
    "9 nested arrays": (raw_message(b"/a", b"," + b"[" * 9 + b"]" * 9), "malformed"),
    "blob of size -4": (raw_message(b"/abc", b",ib", struct.pack(">ii", 1, -4)), "malformed"),
    "character zero": (raw_message(b"/abc", b",c", bytes(4)), "malformed"),
    "257 arguments": (raw_message(b"/a", b"," + b"T" * 257), "too_large"),
    "20000 nested arrays": (raw_message(b"/a", b"," + b"[" * 20000 + b"]" * 20000), "too_large"),
    "100 nested arrays": (raw_message(b"/a", b"," + b"[" * 100 + b"]" * 100), "malformed"),
    "array not opened": (raw_message(b"/a", b",]"), "malformed"),
    "array not closed": (raw_message(b"/a", b",[i", bytes(4)), "malformed"),
    "no OSC at all": (bytes(range(256)), "malformed"),
    "300 arguments": (raw_message(b"/a", b"," + b"T" * 300), "too_large"),
    "address of 600 bytes": (raw_message(b"/" + b"a" * 600, b","), "too_large"),
    "2000 messages": (raw_bundle(*[raw_message(b"/a", b",")] * 2000), "too_large"),
    "packet of 300 kB": (raw_message(b"/a", b",s", padded(b"x" * 300_000)), "too_large"),
}

ACCEPTED = {
    "no type tags": (padded(b"/abc"), Message("/abc")),
    "Latin-1 address": (padded(b"/\xff\xfe"), Message("/ÿþ", (), latin1=True)),
    "Latin-1 string": (raw_message(b"/a", b",s", padded(b"caf\xe9")), Message("/a", ("café",), latin1=True)),
    "UTF-8 string": (
        raw_message(b"/a", b",s", padded("héllo 日本語".encode())),
        Message("/a", ("héllo 日本語",)),
    ),
    "character": (raw_message(b"/abc", b",c", b"\0\0\0A"), Message("/abc", ("A",))),
    "symbol, then integer": (
        raw_message(b"/a", b",Si", padded(b"sym") + b"\0\0\0\5"),
        Message("/a", ("sym", 5)),
    ),
    "impulse": (raw_message(b"/abc", b",I"), Message("/abc", (True,))),
    "time tag": (raw_message(b"/abc", b",t", bytes(7) + b"\1"), Message("/abc", (1,))),
    "empty blob": (raw_message(b"/abc", b",b", bytes(4)), Message("/abc", (b"",))),
    "array": (
        raw_message(b"/a", b",[i[f]]s", b"\0\0\0\1" + bytes(4) + padded(b"x")),
        Message("/a", ([1, [0.0]], "x")),
    ),
    "text behind the zero": (raw_message(b"/a", b",s", b"a\0bc"), Message("/a", ("a",))),
    "Ardour's default answer": (
        padded(b"#reply") + padded(b",s") + padded(b"ok"),
        Message("#reply", ("ok",)),
    ),
    "empty bundle": (raw_bundle(), Bundle(None, ())),
    "256 arguments": (raw_message(b"/a", b"," + b"T" * 256), Message("/a", (True,) * 256)),
    "Latin-1 before UTF-8": (
        raw_message(b"/a", b",ss", padded(b"caf\xe9") + padded("é".encode())),
        Message("/a", ("café", "é"), latin1=True),
    ),
    "star pattern": (raw_message(b"/" + b"*a" * 14 + b"!", b","), Message("/" + "*a" * 14 + "!")),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_a_broken_packet_is_refused_at_once(data: bytes, code: str) -> None:
    start = time.perf_counter()
    with pytest.raises(OscError) as refusal:
        decode(data)
    assert refusal.value.code == code
    assert time.perf_counter() - start < DECODE_LIMIT_S


@pytest.mark.parametrize(("data", "expected"), ACCEPTED.values(), ids=ACCEPTED)
def test_an_unusual_packet_is_read(data: bytes, expected: Message | Bundle) -> None:
    assert decode(data) == expected


@pytest.mark.parametrize("depth", [1, packet.MAX_DEPTH])
def test_bundles_nest(depth: int) -> None:
    element = decode(nested(depth))
    for _ in range(depth):
        assert isinstance(element, Bundle)
        (element,) = element.elements
    assert element == Message("/x")


def test_the_time_of_a_bundle_is_kept() -> None:
    due_s = 1_800_000_000
    builder = OscBundleBuilder(due_s)
    builder.add_content(OscMessageBuilder("/a").build())
    assert decode(builder.build().dgram) == Bundle(due_s, (Message("/a"),))


@pytest.mark.parametrize(
    ("tag", "seconds"),
    [
        (0, None),
        (1, None),
        (2_208_988_800 << 32, 0.0),
        ((2_208_988_800 + 10) << 32 | 1 << 31, 10.5),
        (0x1_8000_0000, 2_085_978_497.5),
    ],
)
def test_time_tags_become_unix_time(tag: int, seconds: float | None) -> None:
    assert unix_time(tag) == seconds  # the last one is in the era after February 2036


def random_message(rng: random.Random) -> bytes:
    builder = OscMessageBuilder("/" + "".join(rng.choices("abc/1*?é", k=rng.randrange(12))))
    for _ in range(rng.randrange(6)):
        kind = rng.choice("ihfdsbTFNrm")
        value: Any = {
            "i": rng.randrange(-(2**31), 2**31),
            "h": rng.randrange(-(2**63), 2**63),
            "f": rng.uniform(-1e6, 1e6),
            "d": rng.uniform(-1e300, 1e300),
            "s": "".join(rng.choices("ab é日", k=rng.randrange(9))),
            "b": rng.randbytes(1 + rng.randrange(9)),
            "r": rng.randrange(2**32),
            "m": (0, 144, rng.randrange(128), rng.randrange(128)),
        }.get(kind)
        builder.add_arg(value, kind)
    return bytes(builder.build().dgram)


def mutated(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(changed)) if changed else 0
        action = rng.randrange(3)
        if action == 0 and changed:
            changed[at] = rng.choice([0, 0x2C, 0x2F, 0x5B, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif action == 1:
            del changed[at : at + rng.randrange(1, 9)]
        else:
            changed[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(changed)


def equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and math.isnan(ours):
        return isinstance(theirs, float) and math.isnan(theirs)
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    return type(ours) is type(theirs) and bool(ours == theirs)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_accepted_is_what_python_osc_reads(seed: int) -> None:
    rng = random.Random(seed)
    accepted = 0
    for _ in range(2500):
        data = mutated(rng, random_message(rng))
        try:
            message = decode(data)
        except OscError:
            continue
        if isinstance(message, Bundle) or message.latin1 or not set("SctI").isdisjoint(tags_of(data)):
            continue  # python-osc cannot read these
        theirs = OscMessage(data)
        assert message.address == theirs.address
        assert equal(message.args, tuple(theirs.params))
        accepted += 1
    assert accepted > 500


def tags_of(data: bytes) -> str:
    start = data.index(b"\0")
    return padded(data[start + 1 :]).lstrip(b"\0").split(b"\0")[0].decode("latin-1")


@pytest.mark.parametrize("seed", range(4))
def test_mutated_bundles_never_raise_anything_else(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(1500):
        elements = [mutated(rng, random_message(rng)) for _ in range(rng.randrange(4))]
        try:
            decode(mutated(rng, raw_bundle(raw_bundle(*elements), *elements)))
        except OscError as refusal:
            assert refusal.code in ("malformed", "too_large")


def test_replies_use_tags_that_every_client_reads() -> None:
    data = encode("/lasso/done", ["a", 1, 2.5, True, False])
    assert b",sifii\0" in data
    assert decode(data) == Message("/lasso/done", ("a", 1, 2.5, 1, 0))


@pytest.mark.parametrize("value", [2**40, 1e300, b"", b"x", None, [1, ["a"]], math.inf, "caf\udce9"])
def test_whatever_was_decoded_can_be_encoded(value: Any) -> None:
    message = decode(encode("/a", [value]))
    assert isinstance(message, Message)
    assert len(message.args) == 1
