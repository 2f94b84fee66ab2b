"""Packets come out of a TCP stream as they went in, however the stream is cut."""

import random
import struct

import pytest

from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.framing import LengthPrefixed, Slip, StreamBroken, recognise
from soundlasso.bridge.osc.packet import MAX_PACKET_BYTES, encode

PACKETS = [
    encode("/a"),
    encode("/b", [1, "x"]),
    encode("/blob", [bytes([0xC0, 0xDB, 0xDC, 0xDD] * 3)]),
    encode("/c", [2.0]),
]
END = b"\xc0"


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def fed(framing: Slip | LengthPrefixed, pieces: list[bytes]) -> list[bytes | OscError]:
    return [packet for piece in pieces for packet in framing.feed(piece)]


@pytest.mark.parametrize("kind", [Slip, LengthPrefixed])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_any_chunking_gives_the_packets(kind: type[Slip] | type[LengthPrefixed], size: int) -> None:
    framing = kind()
    stream = b"".join(map(framing.frame, PACKETS))
    assert recognise(stream[0]) is kind
    assert fed(framing, chunks(stream, size)) == PACKETS
    assert not framing.waiting


@pytest.mark.parametrize(
    "stream",
    [
        PACKETS[0] + END + PACKETS[1] + END,  # END only behind a packet
        END + PACKETS[0] + END + PACKETS[1] + END,  # shared between two
        END + END + PACKETS[0] + END + END + PACKETS[1] + END,
    ],
)
def test_one_end_between_packets_is_enough(stream: bytes) -> None:
    assert recognise(stream[0]) is Slip
    assert fed(Slip(), [stream]) == PACKETS[:2]


@pytest.mark.parametrize("bad", [b"\xdb\x01", b"/a\xdb"])
def test_a_bad_escape_loses_one_packet_and_no_more(bad: bytes) -> None:
    refused, packet = fed(Slip(), [END + bad + END + PACKETS[0] + END])
    assert isinstance(refused, OscError)
    assert refused.code == "malformed"
    assert packet == PACKETS[0]


@pytest.mark.parametrize("length", [-1, -(2**31), MAX_PACKET_BYTES + 1, 2**31 - 1])
def test_an_impossible_length_breaks_the_stream(length: int) -> None:
    with pytest.raises(StreamBroken):
        fed(LengthPrefixed(), [struct.pack(">i", length) + PACKETS[0]])


def test_an_endless_frame_breaks_the_stream() -> None:
    framing = Slip()
    with pytest.raises(StreamBroken):
        for _ in range(9):
            fed(framing, [b"x" * (MAX_PACKET_BYTES // 4)])


def test_something_unfinished_is_known() -> None:
    for framing in (Slip(), LengthPrefixed()):
        fed(framing, [framing.frame(PACKETS[1])[:-2]])
        assert framing.waiting


@pytest.mark.parametrize("first", [ord("G"), 0x16, 0x7F, 0xFF])
def test_other_streams_are_told_apart(first: int) -> None:
    assert recognise(first) is None


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_never_raise_anything_else(seed: int) -> None:
    rng = random.Random(seed)
    for kind in (Slip, LengthPrefixed):
        for _ in range(300):
            try:
                fed(kind(), [rng.randbytes(rng.randrange(20)) for _ in range(5)])
            except StreamBroken:
                pass
