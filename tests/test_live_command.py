"""`soundlasso live` on a dummy JACK server; only what it tells is judged here."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from soundlasso import Separator, separate
from soundlasso.bridge.commands.live import live, make_effect, meter, open_port, watch
from soundlasso.bridge.live import LiveEngine, LiveError
from soundlasso.bridge.separate import Separate
from soundlasso.bridge.stems import Stems
from tests.board_helpers import noise
from tests.jack_server import Server

pytest.importorskip("jack", exc_type=ImportError)
if shutil.which("jackd") is None:
    pytest.skip("jackd is not installed", allow_module_level=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.stop()


def run(*options: str) -> Result:
    app = typer.Typer()
    app.command()(live)
    return CliRunner().invoke(app, options)


def test_it_plays_through_jack_and_tells_how(server: Server) -> None:
    sounds = ("-q", "drums", "-q", "a voice", "--keep", "rest")
    result = run(*sounds, "--jack", "--server", server.name, "--latency", "500", "--seconds", "0.5")
    assert result.exit_code == 0, result.output
    told = "".join(result.output.split("\n"))
    for word in ("playing at 48000 Hz", "drums ", "a voice ", "late ", "xruns ", "latency 500 ms", "CPU "):
        assert word in told


def test_a_query_with_brackets_is_shown_as_it_is(server: Server) -> None:
    options = ("--jack", "--server", server.name, "--latency", "500", "--seconds", "0.2")
    result = run("-q", "a [/] dog", *options)
    assert result.exit_code == 0, result.output
    assert "a [/] dog " in result.output


def test_a_dying_server_ends_it_with_a_clear_message(server: Server) -> None:
    port, effect = open_port(True, server.name, None, 2), Separate("drums")
    with LiveEngine(effect, port.sample_rate, 2) as engine:
        port.play(engine)
        server.process.terminate()
        with pytest.raises(LiveError, match="the sound system ended: JACK server has been closed"):
            watch(port, engine, effect, None)


def test_no_server_and_no_device_are_clear_errors() -> None:
    result = run("-q", "drums", "--jack", "--server", "soundlasso-none")
    assert "cannot reach JACK server 'soundlasso-none'" in str(result.exception)
    pytest.importorskip("sounddevice", exc_type=ImportError)
    result = run("-q", "drums", "--device", "soundlasso-none")
    assert "cannot open device 'soundlasso-none'" in str(result.exception)


def test_a_latency_that_is_too_short_is_refused(server: Server) -> None:
    result = run("-q", "drums", "--jack", "--server", server.name, "--latency", "20")
    assert "a latency of 960 samples is too short" in str(result.exception)


def test_one_query_is_an_effect_and_several_are_stems() -> None:
    one = make_effect(["drums"], keep="rest", avoid=["a voice"], mix=0.5, gain_db=-3, model="lariat")
    assert isinstance(one, Separate) and (one.keep, one.avoid, one.mix) == ("rest", ("a voice",), 0.5)
    several = make_effect(
        ["drums", "a voice"], keep="rest", avoid=["a flute"], mix=1, gain_db=0, model="lariat"
    )
    assert isinstance(several, Stems) and several.queries == ("drums", "a voice")
    assert several.avoid == ("a flute",)


@pytest.mark.parametrize("mix", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("keep", ["stem", "rest"])
def test_several_queries_are_mixed_and_turned_down_like_one(lariat: Separator, keep: Any, mix: float) -> None:
    """Against the stems themselves; TOLERANCE 1e-6, where only the order of sums differs."""
    drums, voice = separate(noise(), 44_100, ["drums", "a voice"], consistent=True, model=lariat)
    named = drums + voice
    kept = named if keep == "stem" else noise() - named
    effect = make_effect(["drums", "a voice"], keep=keep, avoid=[], mix=mix, gain_db=-6, model="lariat")
    expected = 10 ** (-6 / 20) * (mix * kept + (1 - mix) * noise())
    np.testing.assert_allclose(effect(noise(), 44_100), expected, 0, 1e-6)


def test_a_meter_shows_how_much() -> None:
    assert [meter(value) for value in (0, 0.5, 1)] == ["░" * 10, "█" * 5 + "░" * 5, "█" * 10]
