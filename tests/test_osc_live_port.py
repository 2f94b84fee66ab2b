"""Live slots over JACK, on a headless dummy server: what is moved over OSC is heard at the ports.

A muted slot must be silent to the last bit.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.commands.serve import check_live
from soundlasso.bridge.osc.live_source import LiveSource, parse_source
from soundlasso.bridge.osc.options import Options
from soundlasso.dsp.errors import SoundlassoError
from tests.jack_server import RATE, Server
from tests.osc_help import Ear, Running, running

READY_LIMIT_S = 120.0  # libraries load slowly on a busy machine
NOISE_LEVEL = 0.1


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("jack", LiveSource("jack", "")),
        ("jack:studio", LiveSource("jack", "studio")),
        ("device", LiveSource("device", "")),
        ("device:USB Audio: 1", LiveSource("device", "USB Audio: 1")),
        ("./jack", LiveSource("file", "./jack")),
        ("a:b.wav", LiveSource("file", "a:b.wav")),
    ],
)
def test_a_source_is_jack_a_device_or_a_file(text: str, source: LiveSource) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("live", "channels", "reason"),
    [("", 2, "nothing to play"), ("nowhere.wav", 2, "nowhere.wav"), ("jack", 65, "choose 1 to 64")],
)
def test_what_cannot_be_played_is_refused_at_the_start(live: str, channels: int, reason: str) -> None:
    with pytest.raises(SoundlassoError, match=reason):
        check_live(Options(live=live, live_channels=channels))


if shutil.which("jackd") is None:
    pytest.skip("jackd is not installed", allow_module_level=True)
jack: Any = pytest.importorskip("jack", exc_type=ImportError)


@pytest.fixture
def sound_server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def server(sound_server: Server, tmp_path: Path) -> Iterator[Running]:
    with running(live=f"jack:{sound_server.name}", live_record=tmp_path / "heard.wav") as made:
        yield made


class Room:
    """A JACK client that plays noise to soundlasso and hears what comes back."""

    def __init__(self, server: str) -> None:
        self.peaks: list[float] = []
        self._noise = np.random.default_rng(6).standard_normal(RATE).astype(np.float32) * NOISE_LEVEL
        self._client = jack.Client("room", no_start_server=True, servername=server)
        self._send = self._client.outports.register("send")
        self._back = self._client.inports.register("back")
        self._client.set_process_callback(self._process)
        self._client.activate()
        for port in ("in_1", "in_2"):
            self._client.connect(self._send, f"soundlasso:{port}")
        self._client.connect("soundlasso:out_1", self._back)

    def _process(self, frames: int) -> None:
        self._send.get_array()[:] = self._noise[:frames]
        self.peaks.append(float(np.abs(self._back.get_array()).max()))

    def wait(self, is_so: Callable[[float], bool]) -> None:
        """Wait until some periods in a row are as they should be."""
        end_s = time.monotonic() + READY_LIMIT_S
        self.peaks.clear()
        while len(self.peaks) < 20 or not all(map(is_so, self.peaks[-20:])):
            assert time.monotonic() < end_s, self.peaks[-20:]
            time.sleep(0.02)

    def close(self) -> None:
        self._client.close()


def test_slots_act_on_what_jack_plays(server: Running, sound_server: Server, tmp_path: Path) -> None:
    with Ear(server.port) as ear:
        ear.ask("/lasso/slot/1/mode", "remove", answer="/lasso/done")
        ear.ask("/lasso/query", "a violin", answer="/lasso/done")
        ear.ask("/lasso/notify", 1, 0, 9, answer="/lasso/done")
        ear.ask("/lasso/stream/start", answer="/lasso/done")
        state, latency_s, _ = ear.wait("/lasso/stream/state", READY_LIMIT_S)
        assert state == "playing"
        assert 0.09 < latency_s < 0.5
        ear.ask("/lasso/stream/start", answer="/lasso/done")  # it plays already, and goes on
        room = Room(sound_server.name)
        try:
            room.wait(lambda peak: peak > 0.1 * NOISE_LEVEL)
            while ear.wait("/lasso/meter/slot/1", READY_LIMIT_S)[1] < 0.1 * NOISE_LEVEL:
                pass
            ear.ask("/lasso/slot/2/query", "a voice", answer="/lasso/done")  # a slot comes while it plays
            ear.ask("/lasso/slot/1/mute", 1, answer="/lasso/done")
            ear.ask("/lasso/slot/2/gain", -60, answer="/lasso/done")
            while ear.wait("/lasso/meter/slot/1", READY_LIMIT_S) != (0.0, 0.0):
                pass
            ear.ask("/lasso/mix", 0.0, answer="/lasso/done")
            room.wait(lambda peak: peak > 0.1 * NOISE_LEVEL)
        finally:
            room.close()
        ear.ask("/lasso/stream/stop", answer="/lasso/done")
        assert ear.wait("/lasso/stream/state", READY_LIMIT_S)[0] == "stopped"
    heard, rate_hz = soundfile.read(tmp_path / "heard.wav", always_2d=True)
    assert rate_hz == RATE
    assert np.abs(heard).max() > 0.1 * NOISE_LEVEL


def test_a_sound_server_that_ends_is_told(server: Running, sound_server: Server) -> None:
    with Ear(server.port) as ear:
        ear.ask("/lasso/query", "a violin", answer="/lasso/done")
        ear.ask("/lasso/notify", 1, 0, 1, answer="/lasso/done")
        ear.ask("/lasso/stream/start", answer="/lasso/done")
        assert ear.wait("/lasso/stream/state", READY_LIMIT_S)[0] == "playing"
        sound_server.process.terminate()
        address, _, reason = ear.wait("/lasso/fail", READY_LIMIT_S)
        assert address == "/lasso/stream"
        assert "the sound system ended" in reason
        assert ear.wait("/lasso/stream/state", READY_LIMIT_S)[0] == "stopped"
        ear.ask("/lasso/stream/start", answer="/lasso/done")
        assert "cannot reach JACK server" in ear.wait("/lasso/fail", READY_LIMIT_S)[2]
