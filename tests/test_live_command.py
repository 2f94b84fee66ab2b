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
from soundlasso.bridge.commands.live import (
    live,
    load_board,
    make_effect,
    meter,
    open_port,
    presence_of,
    watch,
)
from soundlasso.bridge.live import LiveEngine, LiveError
from soundlasso.bridge.presets.library import load_preset
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
    told = str(result.exception)
    assert "a latency of 20 ms (960 samples) is too short" in told
    assert "need 114.7 ms (5502 samples)" in told
    result = run("-q", "drums", "--jack", "--server", server.name, "--latency", "114.7", "--seconds", "0.1")
    assert result.exit_code == 0, result.output


def test_a_preset_plays_through_jack_too(server: Server) -> None:
    options = ("--jack", "--server", server.name, "--latency", "500", "--seconds", "0.2")
    result = run("-p", "video-call", *options)
    assert result.exit_code == 0, result.output
    assert "voice " in result.output and "latency 500 ms" in result.output


@pytest.mark.parametrize("name", ["video-call", "band"])
def test_a_preset_shows_the_presence_of_its_stems(name: str) -> None:
    board = load_board(name)
    assert dict(presence_of(board)) == dict.fromkeys([stem.name for stem in load_preset(name).stems], 0.0)
    board.process(noise(), 44_100, reset=False)
    assert any(presence_of(board).values())


WRONG = {
    "missing option '--query' or '--preset'": (),
    "--query and --preset exclude each other": ("-q", "drums", "-p", "band"),
    "no preset 'bnad'": ("-p", "bnad"),
    "--keep goes with --query": ("-p", "band", "--keep", "rest"),
    "--avoid goes with --query": ("-p", "band", "--avoid", "rain"),
    "--mix goes with --query": ("-p", "band", "--mix", "1"),
    "--gain goes with --query": ("-p", "band", "--gain", "0"),
    "--model goes with --query": ("-p", "band", "--model", "lariat"),
    "--stereo goes with --query": ("-p", "band", "--stereo", "linked"),
    "--gate goes with --query": ("-p", "band", "--no-gate"),
    "--gate-threshold goes with --query": ("-p", "band", "--gate-threshold", "0.4"),
}


@pytest.mark.parametrize(("told", "options"), WRONG.items())
def test_what_does_not_go_together_is_wrong_usage(told: str, options: tuple[str, ...]) -> None:
    result = run(*options)
    assert result.exit_code == 2 and told in result.output


def test_gate_and_stereo_reach_one_sound_and_several(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []

    def stop(jack: bool, server: str | None, device: str | None, channels: int) -> Any:
        raise LiveError("no sound here")

    def keep(queries: list[str], **settings: Any) -> Any:
        heard.append(make_effect(queries, **settings))
        return heard[-1]

    monkeypatch.setattr("soundlasso.bridge.commands.live.make_effect", keep)
    monkeypatch.setattr("soundlasso.bridge.commands.live.open_port", stop)
    for sounds in (("-q", "drums"), ("-q", "drums", "-q", "a voice")):
        run(*sounds, "--stereo", "independent", "--no-gate", "--gate-threshold", "0.3")
    one, several = heard
    assert (one.stereo, one.gate, one.gate_threshold) == ("independent", False, 0.3)
    assert (several.stereo, several.gate_threshold) == ("independent", (0.3, 0.3))


def test_help_tells_what_is_usual() -> None:
    told = " ".join(run("--help").output.replace("│", " ").split())
    for words in ("what the model takes, and four hops", "the system's usual one", "fewer are sooner"):
        assert words in told
    assert "A sound that is mistaken for yours; keeps it out of the stems." in told


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
