"""The JACK path on a headless dummy server: in freewheel mode bit-exact against the offline board.

TOLERANCE 0.  In real time a busy machine lets the server drop periods between its clients.  What is ours
is judged whatever it does: each block as our client took it and gave it, and what reached the ports.
"""

import itertools
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard
import pytest

from soundlasso.bridge.board import Board
from soundlasso.bridge.effect import Effect
from soundlasso.bridge.live import LiveEngine, LiveError
from soundlasso.bridge.live_jack import JackClient
from tests.board_helpers import Audio, Late, noise
from tests.jack_server import PATIENCE_S, RATE, Server

if shutil.which("jackd") is None:
    pytest.skip("jackd is not installed", allow_module_level=True)
jack: Any = pytest.importorskip("jack", exc_type=ImportError)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.stop()


PERIOD = 256
PERIODS_TO_CONNECT = 8  # the server takes up one connection at a time, between periods
ROOT = Path(__file__).parent.parent


class Tape:
    """A JACK client that plays one recording into a client's ports and records what comes back."""

    def __init__(self, server: str, audio: Audio, target: JackClient) -> None:
        self.audio, self.target = audio, target
        self.recorded = np.zeros_like(audio)
        self.position = 0
        self.rolling = False
        self.waited = 0
        self.finished = threading.Event()
        self.client = jack.Client("tape", no_start_server=True, servername=server)
        self.sends = [self.client.outports.register(f"send_{i}") for i in range(len(audio))]
        self.returns = [self.client.inports.register(f"return_{i}") for i in range(len(audio))]
        self.client.set_process_callback(self.process)

    def process(self, frames: int) -> None:
        self.waited += self.rolling
        rolling = self.waited > PERIODS_TO_CONNECT
        end = min(self.position + frames, self.audio.shape[1]) if rolling else self.position
        here, n = slice(self.position, end), end - self.position
        for i, (send, back) in enumerate(zip(self.sends, self.returns, strict=True)):
            send.get_array()[:] = 0
            send.get_array()[:n] = self.audio[i, here]
            self.recorded[i, here] = back.get_array()[:n]
        self.position = end
        if end == self.audio.shape[1]:
            self.finished.set()

    def play(self, *, freewheel: bool) -> Audio:
        """Play the recording through, and return what came back."""
        try:
            self._roll(freewheel)
        finally:  # an open client of a dead server would end the process later
            self.client.close()
        return self.recorded

    def _roll(self, freewheel: bool) -> None:
        self.client.activate()
        for send, port in zip(self.sends, self.target.inputs, strict=True):
            self.client.connect(send, port)
        for port, back in zip(self.target.outputs, self.returns, strict=True):
            self.client.connect(port, back)
        if freewheel:
            self.client.set_freewheel(True)
        self.rolling = True
        assert self.finished.wait(PATIENCE_S)
        if freewheel:
            self.client.set_freewheel(False)


class Slow(Effect):
    """Changes nothing, and takes longer over it than a server in freewheel mode over a period."""

    def block(self, samples: Audio) -> Audio:
        time.sleep(0.001)
        return samples


def board() -> Board:
    return Board([pedalboard.Invert(), Late(700), pedalboard.Delay(0.01), pedalboard.Gain(-6)])


def expected(audio: Audio, latency: int) -> Audio:
    return np.pad(board()(audio, RATE), ((0, 0), (latency, 0)))[:, : audio.shape[1]]


def test_in_freewheel_mode_live_is_the_offline_board(server: Server) -> None:
    """A loop from client to client and back takes one period more."""
    audio = noise(2, 10 * RATE)
    slow = Board([*board(), Slow()])
    with JackClient(2, server=server.name) as client, LiveEngine(slow, RATE, 2) as engine:
        client.play(engine)
        got = Tape(server.name, audio, client).play(freewheel=True)
        assert engine.late_blocks == 0
    np.testing.assert_array_equal(got, expected(audio, engine.latency_samples + client.block_samples))


class Heard(LiveEngine):
    """An engine that notes what it takes and what it gives."""

    def __init__(self) -> None:
        self.taken: list[Audio] = []
        self.given: list[Audio] = []
        super().__init__(board(), RATE, 2)

    def exchange(self, block: Audio, out: Audio, wait_s: float = 0.0) -> None:
        super().exchange(block, out, wait_s)
        self.taken.append(block.copy())
        self.given.append(out.copy())


def periods(audio: Audio) -> list[bytes]:
    return [audio[:, at : at + PERIOD].tobytes() for at in range(0, audio.shape[1], PERIOD)]


def test_in_real_time_every_block_is_in_place(server: Server) -> None:
    """Each block is the board's, or the dry input of the same moment, and then it is counted."""
    audio = noise(2, 3 * RATE // PERIOD * PERIOD)
    engine = Heard()
    with JackClient(2, server=server.name) as client, engine:
        client.play(engine)
        came_back = Tape(server.name, audio, client).play(freewheel=False)
        client.close()
        taken, given = np.concatenate(engine.taken, axis=1), np.concatenate(engine.given, axis=1)
    latency = engine.latency_samples
    wet, dry = (periods(np.pad(part, ((0, 0), (latency, 0)))) for part in (board()(taken, RATE), taken))
    late = [at for at, period in enumerate(periods(given)) if period != wet[at]]
    assert len(late) == engine.late_blocks
    assert all(periods(given)[at] == dry[at] for at in late)
    for channel in ([0], [1]):
        assert_passed_on(sent=audio[channel], arrived=taken[channel])
        assert_passed_on(sent=given[channel], arrived=came_back[channel])
    if not client.xruns and not late:
        np.testing.assert_array_equal(came_back, expected(audio, latency + client.block_samples))


def assert_passed_on(*, sent: Audio, arrived: Audio) -> None:
    """Every period that arrived was sent, in this order; the server may drop or repeat some."""
    silence = bytes(PERIOD * 4)
    position = {period: at for at, period in enumerate(periods(sent)) if period != silence}
    order = [position[period] for period in periods(arrived) if period != silence]
    assert order and all(first <= second for first, second in itertools.pairwise(order))


def test_no_server_is_a_clear_error() -> None:
    with pytest.raises(LiveError, match="cannot reach JACK server 'soundlasso-none'; start it"):
        JackClient(2, server="soundlasso-none")


def test_a_dying_server_is_noticed(server: Server) -> None:
    with JackClient(2, server=server.name) as client, LiveEngine(board(), RATE, 2) as engine:
        client.play(engine)
        server.stop()
        assert client.ended.wait(PATIENCE_S)
        assert client.reason


AFTERLIFE = """
import gc, sys
from pathlib import Path
from soundlasso.bridge.live import LiveError
from soundlasso.bridge.live_jack import JackClient
from tests.jack_server import PATIENCE_S, Server
first = Server(Path(sys.argv[1]))
client = JackClient(2, server=first.name)
first.stop()
assert client.ended.wait(PATIENCE_S) and client.reason
second = Server(Path(sys.argv[1]))
JackClient(2, server=second.name).close()
client.close()
client.close()
del client
gc.collect()
second.stop()
"""


def test_a_client_outlives_its_server(tmp_path: Path) -> None:
    """In a process of its own: the JACK library ends the one that closes a client it has freed."""
    command = [sys.executable, "-c", AFTERLIFE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE_S, cwd=ROOT)
    assert done.returncode == 0, done.stderr
