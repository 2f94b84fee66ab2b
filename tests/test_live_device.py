"""The PortAudio path, in a process of its own whose sound card is a dummy JACK server."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jack_server import PATIENCE_S, Server

pytest.importorskip("jack", exc_type=ImportError)
pytest.importorskip("sounddevice", exc_type=ImportError)
if shutil.which("jackd") is None:
    pytest.skip("jackd is not installed", allow_module_level=True)

PLAY = """
import time
import pedalboard
from soundlasso.bridge.board import Board
from soundlasso.bridge.live import LiveEngine
from soundlasso.bridge.live_device import DeviceStream, load_sounddevice
names = [device["name"] for device in load_sounddevice().query_devices()]
if "system" not in names:
    raise SystemExit("no JACK here")
board = Board([pedalboard.Invert()])
with DeviceStream("system") as device, LiveEngine(board, device.sample_rate, 2) as engine:
    device.play(engine)
    until = time.monotonic() + 20
    while engine.seconds < 0.5 and time.monotonic() < until:
        device.ended.wait(0.05)
    print(device.sample_rate, engine.seconds >= 0.5, engine.error, device.ended.is_set())
"""


def test_it_plays_through_portaudio(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        environment = os.environ | {"JACK_DEFAULT_SERVER": server.name}
        command = [sys.executable, "-c", PLAY]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=2 * PATIENCE_S
        )
    finally:
        server.stop()
    if "no JACK here" in done.stderr:
        pytest.skip("PortAudio was built without JACK")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["48000.0", "True", "None", "False"]
