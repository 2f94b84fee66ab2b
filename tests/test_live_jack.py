"""The JACK path on a headless dummy server: in freewheel mode bit-exact against the offline board.

TOLERANCE 0.  In real time only alignment is judged, never speed: every block is the board's or dry.
"""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard
import pytest

from soundlasso.bridge.board import Board
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


class Tape:
    """A JACK client that plays one recording into a client's ports and records what comes back."""

    def __init__(self, server: str, audio: Audio, target: JackClient) -> None:
        self.audio, self.target = audio, target
        self.recorded = np.zeros_like(audio)
        self.position = 0
        self.rolling = False
        self.finished = threading.Event()
        self.client = jack.Client("tape", no_start_server=True, servername=server)
        self.sends = [self.client.outports.register(f"send_{i}") for i in range(len(audio))]
        self.returns = [self.client.inports.register(f"return_{i}") for i in range(len(audio))]
        self.client.set_process_callback(self.process)

    def process(self, frames: int) -> None:
        end = min(self.position + frames, self.audio.shape[1]) if self.rolling else self.position
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
        self.client.deactivate()
        self.client.close()
        return self.recorded


def board() -> Board:
    return Board([pedalboard.Invert(), Late(700), pedalboard.Delay(0.01), pedalboard.Gain(-6)])


def expected(audio: Audio, latency: int) -> Audio:
    return np.pad(board()(audio, RATE), ((0, 0), (latency, 0)))[:, : audio.shape[1]]


def test_in_freewheel_mode_live_is_the_offline_board(server: Server) -> None:
    """A loop from client to client and back takes one period more."""
    audio = noise(2, 10 * RATE)
    with JackClient(2, server=server.name) as client, LiveEngine(board(), RATE, 2) as engine:
        client.play(engine)
        got = Tape(server.name, audio, client).play(freewheel=True)
        assert engine.late_blocks == 0
    np.testing.assert_array_equal(got, expected(audio, engine.latency_samples + client.block_samples))


def test_in_real_time_every_block_is_in_place(server: Server) -> None:
    """Each period is the board's, or the dry input of the same moment, whatever the machine is busy with."""
    audio = noise(2, 3 * RATE // 256 * 256)
    with JackClient(2, server=server.name) as client, LiveEngine(board(), RATE, 2) as engine:
        client.play(engine)
        got = Tape(server.name, audio, client).play(freewheel=False)
        late = engine.late_blocks
    latency = engine.latency_samples + client.block_samples
    wet = expected(audio, latency)
    dry = np.pad(audio, ((0, 0), (latency, 0)))[:, : audio.shape[1]]
    wrong = [
        at
        for at in range(0, audio.shape[1], 256)
        if not any(np.array_equal(got[:, at : at + 256], want[:, at : at + 256]) for want in (wet, dry))
    ]
    if client.xruns:
        pytest.skip(f"the machine is too busy: the server itself dropped periods {client.xruns} times")
    assert not wrong
    assert late < audio.shape[1] // 256


def test_no_server_is_a_clear_error() -> None:
    with pytest.raises(LiveError, match="cannot reach JACK server 'soundlasso-none'; start it"):
        JackClient(2, server="soundlasso-none")


def test_a_dying_server_is_noticed(server: Server) -> None:
    with JackClient(2, server=server.name) as client, LiveEngine(board(), RATE, 2) as engine:
        client.play(engine)
        server.stop()
        assert client.ended.wait(PATIENCE_S)
        assert client.reason
