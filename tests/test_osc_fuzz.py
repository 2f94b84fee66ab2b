"""Mutated traffic of every address, over UDP, TCP in both framings and HTTP: the server lives, its memory
stays flat, its counters are right.

For some seconds here; ``SOUNDLASSO_FUZZ_S=600 python -m pytest -s tests/test_osc_fuzz.py`` takes ten minutes.
"""

import asyncio
import gc
import os
import random
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from soundlasso.bridge.osc.arguments import Arg
from soundlasso.bridge.osc.chain import Chain
from soundlasso.bridge.osc.chaining import chain_rows
from soundlasso.bridge.osc.framing import LengthPrefixed, Slip
from soundlasso.bridge.osc.packet import NTP_TO_UNIX_S, encode
from soundlasso.bridge.osc.row import Access, Row
from soundlasso.bridge.osc.table import ROWS
from soundlasso.bridge.presets.chains import Link
from tests.osc_help import ANSWER_LIMIT_S, Ear, Running, running
from tests.test_osc_packet import mutated, raw_bundle, raw_message

DURATION_S = float(os.environ.get("SOUNDLASSO_FUZZ_S", "5"))
PATIENCE_S = ANSWER_LIMIT_S if DURATION_S < 60 else 120.0  # a long run is given the time that is left over
WARM_SHARE = 0.25  # of the time, before memory is looked at first
RSS_GROWTH_LIMIT_BYTES = 10 << 20
SEED = 7
UDP_IN_A_ROW = 40  # between looks at whether all were counted
WORDS = {
    "job": "j",
    "address": "/lasso/mix",
    "path": "mix.wav",
    "prefix": "/lasso/slot",
    "token": "x",
    "effect": "Reverb",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a server in an empty folder, whose worker is never needed."""
    with running(root=tmp_path_factory.mktemp("fuzz")) as made:
        yield made


def example(arg: Arg) -> Any:
    """Return a value that fits."""
    if arg.choices:
        return arg.choices[-1]
    if arg.tag == "s":
        return WORDS.get(arg.name, "solo violin")
    return {"i": 1, "f": 0.5, "*": "more"}[arg.tag]


def packet_of(row: Row) -> bytes:
    return encode(
        row.address.replace("{slot}", "2").replace("{rest}", "region/2/name"),
        [example(arg) for arg in row.args],
    )


def valid_packets() -> list[bytes]:
    """One packet for each address that can be written to, bundles of them, and some patterns."""
    rows = [*ROWS, *chain_rows(Chain((Link("effect", "Reverb"), Link("effect", "LadderFilter"))))]
    packets = [packet_of(row) for row in rows if row.access is not Access.SENT]
    bundles = [raw_bundle(*packets[i : i + 3]) for i in range(0, len(packets), 3)]
    patterns = [encode(address, [1]) for address in ("/lasso/slot/*/mute", "//gain", "/lasso/{mix,gate}")]
    soon = struct.pack(">Q", int((time.time() + NTP_TO_UNIX_S + 1) * 2**32))
    dated = [raw_bundle(packet, time_tag=soon) for packet in packets[::7]]
    latin1 = raw_message(b"/lasso/query", b",s", b"caf\xe9\0\0\0\0")
    return [*packets, *bundles, *patterns, *dated, latin1]


def rss_bytes() -> int:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def wait_until_taken(ear: Ear, number: int) -> None:
    """Ping with a number of its own: mutated pings are answered too."""
    ear.send("/lasso/ping", number)
    while ear.wait("/lasso/pong", PATIENCE_S) != (number,):
        pass


def send_udp(rng: random.Random, valid: list[bytes], ear: Ear, number: int) -> int:
    """Send some datagrams, waiting until each is taken; return how many packets that were."""
    for i in range(UDP_IN_A_ROW):
        ear.socket.send(mutated(rng, rng.choice(valid)))
        wait_until_taken(ear, number + i)
    ear.heard.clear()
    return 2 * UDP_IN_A_ROW


def send_tcp(rng: random.Random, valid: list[bytes], port: int) -> None:
    """Send a stream of framed packets, bytes of which are wrong, and hang up."""
    framing = rng.choice([Slip, LengthPrefixed])()
    stream = b"".join(framing.frame(mutated(rng, rng.choice(valid))) for _ in range(5))
    http = b"GET /lasso/mix?VALUE HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n"
    data = mutated(rng, rng.choice([stream, http]))
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as line:
        try:
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
            while line.recv(65536):
                pass
        except (ConnectionError, TimeoutError):
            pass  # refused in the middle, or waiting for the rest of a packet


def test_mutated_traffic_harms_nothing(server: Running, ear: Ear, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "soundlasso")  # pytest would keep what /lasso/dump logs
    rng = random.Random(SEED)
    valid = valid_packets()
    counters = server.server.interpreter.counters
    tasks_before = server.ask(lambda: len(asyncio.all_tasks()))
    started_s, sent, streams, grown_from = time.monotonic(), 0, 0, 0
    while (elapsed_s := time.monotonic() - started_s) < DURATION_S:
        before = server.ask(lambda: counters.packets)
        count = send_udp(rng, valid, ear, 1000 + sent)
        assert server.ask(lambda: counters.packets) - before == count
        send_tcp(rng, valid, server.port)
        server.ask(lambda: None)
        sent, streams = sent + count, streams + 1
        if not grown_from and elapsed_s > WARM_SHARE * DURATION_S:
            grown_from = rss_bytes()
    growth = rss_bytes() - grown_from
    errors = server.ask(lambda: counters.errors)
    print(f"\n{sent} packets, {streams} streams, {errors} refused, memory grew by {growth / 1e6:.1f} MB")
    assert 0 < errors < sent + 10 * streams
    assert server.ask(lambda: counters.latin1) > 0
    assert server.ask(lambda: len(asyncio.all_tasks())) <= tasks_before
    assert growth < RSS_GROWTH_LIMIT_BYTES
    assert not list(server.server.options.root.iterdir())
