"""What Ardour exports is rendered, of the enabled slots, if it lies in the root folder and that is wanted."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.osc.options import Options
from soundlasso.bridge.osc.server import Server
from soundlasso.bridge.osc.transport import PortError
from tests.osc_help import Ear, Running, running

RATE_HZ = 44100
READY_LIMIT_S = 120.0  # libraries load slowly on a busy machine


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    for path in (root / "mix.wav", tmp_path / "outside.wav"):
        soundfile.write(path, np.full((RATE_HZ // 2, 2), 0.1), RATE_HZ, subtype="FLOAT")
    return root


@pytest.fixture
def server(root: Path) -> Iterator[Running]:
    with running(root=root, ardour_port=free_port()) as made:
        yield made


def ardour(server: Running) -> Ear:
    """Return what sends as Ardour does, to the port that is its own."""
    port = server.server.options.ardour_port
    assert port is not None
    return Ear(port)


def test_an_export_is_rendered_of_the_enabled_slots(server: Running, ear: Ear, root: Path) -> None:
    ear.ask("/lasso/slot/1/query", "a bass", answer="/lasso/done")
    ear.ask("/lasso/slot/2/query", "drums", answer="/lasso/done")
    ear.ask("/lasso/slot/2/enable", 0, answer="/lasso/done")
    ear.ask("/lasso/notify", 1, 0, 2, answer="/lasso/done")
    with ardour(server) as exporting:
        exporting.send("/session/exported", str(root / "mix.wav"), "my session")
        assert ear.wait("/lasso/done", READY_LIMIT_S)[:3] == ("/session/exported", "job-1", 2)
    told = [m.args[2:4] for m in ear.heard if m.address == "/lasso/job/stem"]
    stems = root / "stems"
    assert told == [("a bass", str(stems / "mix - a bass.wav")), ("rest", str(stems / "mix - rest.wav"))]


def test_an_export_that_cannot_be_rendered_is_refused(server: Running, root: Path) -> None:
    with ardour(server) as exporting:
        assert exporting.refusal("/session/exported", str(root / "mix.wav"), "s") == "no_input"  # no query
        exporting.ask("/lasso/query", "drums", answer="/lasso/done")
        assert exporting.refusal("/session/exported", str(root.parent / "outside.wav"), "s") == "bad_path"
        assert exporting.refusal("/session/exported", "../outside.wav", "s") == "bad_path"
        assert exporting.refusal("/session/exported", str(root / "gone.wav"), "s") == "bad_path"
        assert exporting.refusal("/session/exported") == "bad_args"


def test_nobody_listens_for_exports_unless_asked() -> None:
    with running() as made, Ear(made.port) as ear:
        assert ear.refusal("/session/exported", "mix.wav", "s") == "unknown_address"


def test_a_port_of_ardours_in_use_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
        with pytest.raises(PortError, match=f"cannot open UDP port {port} of this machine"):
            open_and_close(port)


def open_and_close(port: int) -> None:
    async def story() -> None:
        server = Server(Options(port=0, preload=False, ardour_port=port))
        try:
            await server.start()
        finally:
            await server.stop()

    asyncio.run(story())
