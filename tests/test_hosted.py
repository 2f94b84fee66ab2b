"""Third-party plugins in their own process, against the same plugin in ours.

TOLERANCE 0: the same plugin gives the same samples. The plugins are zam-plugins, from Debian.
"""

import os
import re
import signal
from collections.abc import Iterator

import numpy as np
import pedalboard
import pytest
import typer
from pedalboard._pedalboard import load_plugin
from typer.testing import CliRunner

from soundlasso.bridge.board import Board
from soundlasso.bridge.commands.plugins import app
from soundlasso.bridge.effect import StreamSpec
from soundlasso.bridge.hosted import HostedPlugin
from soundlasso.bridge.hosted_scan import PluginError, installed_plugins, plugin_name
from tests.board_helpers import CUTS, Late, NativeBoard, noise, stream

RATE = 48_000
LIMITER, LIMITER_LATENCY = "ZaMaximX2", 480
THRESHOLD = {"threshold_db": -12.0}

if LIMITER not in map(plugin_name, installed_plugins()):
    pytest.skip("zam-plugins are not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def limiter() -> Iterator[HostedPlugin]:
    with HostedPlugin(LIMITER, THRESHOLD) as plugin:
        yield plugin


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    plugin = load_plugin(next(path for path in installed_plugins() if plugin_name(path) == LIMITER))
    plugin.threshold_db = THRESHOLD["threshold_db"]  # type: ignore[attr-defined]
    plugin.reset()
    return NativeBoard([plugin]).process(noise(), RATE)


def test_a_hosted_plugin_is_the_plugin(limiter: HostedPlugin, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(limiter(noise(), RATE), expected)
    assert limiter.latency_samples == LIMITER_LATENCY
    assert limiter.parameters["threshold_db"] == pytest.approx(-12)


@pytest.mark.parametrize("lengths", CUTS.values(), ids=CUTS.keys())
def test_any_cutting_is_the_whole(limiter: HostedPlugin, expected: np.ndarray, lengths: list[int]) -> None:
    board = Board([pedalboard.Gain(0), limiter, Late(100)])
    np.testing.assert_array_equal(stream(board, noise(), lengths, RATE), expected)
    assert board.latency_samples == LIMITER_LATENCY + 100


def test_a_plugin_loaded_here_streams_too(expected: np.ndarray) -> None:
    plugin = load_plugin(next(path for path in installed_plugins() if plugin_name(path) == LIMITER))
    plugin.threshold_db = THRESHOLD["threshold_db"]  # type: ignore[attr-defined]
    for lengths in CUTS.values():
        got = stream(Board([pedalboard.Gain(0), plugin, Late(100)]), noise(), lengths, RATE)
        np.testing.assert_array_equal(got, expected)


def test_a_parameter_set_while_it_plays_is_heard(limiter: HostedPlugin, expected: np.ndarray) -> None:
    limiter.set(threshold_db=0.0)
    loud = limiter(noise(), RATE)
    limiter.set(**THRESHOLD)
    assert np.abs(loud - expected).max() > 0.01
    np.testing.assert_array_equal(limiter(noise(), RATE), expected)


def test_a_plugin_killed_in_mid_stream_is_an_error_and_comes_back(expected: np.ndarray) -> None:
    with HostedPlugin(LIMITER, THRESHOLD) as plugin:
        board = Board([plugin])
        board.process(noise(), RATE, reset=False)
        os.kill(plugin._child.process.pid, signal.SIGKILL)
        with pytest.raises(PluginError, match=r"ZaMaximX2.vst3 ended by signal 9 at 'push'"):
            board.process(noise(), RATE, reset=False)
        with pytest.raises(PluginError, match="ZaMaximX2 is not in a stream; reset the board"):
            board.process(noise(), RATE, reset=False)
        board.reset()
        np.testing.assert_array_equal(board.process(noise(), RATE), expected)


def test_a_plugin_that_hangs_is_an_error_after_the_timeout() -> None:
    with HostedPlugin(LIMITER) as plugin:
        plugin(noise(), RATE)
        plugin._child.timeout_s = 0.2
        os.kill(plugin._child.process.pid, signal.SIGSTOP)
        with pytest.raises(PluginError, match=r"ZaMaximX2.vst3 hung: no answer to 'start' in 0.2 s"):
            plugin(noise(), RATE)
        assert plugin._child.process.wait(10) == -signal.SIGKILL


def test_the_child_ends_with_its_plugin() -> None:
    plugin = HostedPlugin(LIMITER)
    process = plugin._child.process
    plugin.close()
    plugin.close()
    assert process.returncode is not None


def test_what_is_left_inside_comes_out_in_blocks_of_any_size(limiter: HostedPlugin) -> None:
    limiter.start(StreamSpec(RATE, 2, 64))
    audio = noise(2, 1000)
    parts = [limiter.push(audio), limiter.drain()]
    limiter.start(StreamSpec(RATE, 2, 8192))
    whole = [limiter.push(audio), limiter.drain()]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), np.concatenate(whole, axis=1))
    assert sum(part.shape[1] for part in parts) == 1000


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"threshhold_db": -3}, "has no parameter 'threshhold_db'; did you mean 'threshold_db'"),
        ({"threshold_db": 999}, "threshold_db.* is out of range"),
        ({"threshold_db": "loud"}, "ZaMaximX2.vst3: "),
        ({"release_ms": 50.0, "threshold_db": 999}, "threshold_db.* is out of range"),
    ],
    ids=["name", "range", "kind", "one of two"],
)
def test_a_wrong_parameter_is_refused(limiter: HostedPlugin, parameters: dict, told: str) -> None:
    limiter.set(**THRESHOLD)
    before = limiter.parameters
    with pytest.raises(PluginError, match=told):
        limiter.set(**parameters)
    limiter.set(**THRESHOLD)
    assert limiter.parameters == before


def test_an_unknown_plugin_and_a_file_that_is_none_are_refused(tmp_path: os.PathLike[str]) -> None:
    with pytest.raises(PluginError, match=r"no plugin 'ZaMaximX3': .*did you mean ZaMaximX2"):
        HostedPlugin("ZaMaximX3")
    wrong = os.path.join(tmp_path, "wrong.vst3")
    with open(wrong, "wb") as file:
        file.write(b"not a plugin")
    with pytest.raises(PluginError, match=r"wrong.vst3: "):
        HostedPlugin(wrong)
    with pytest.raises(PluginError, match="a timeout of 0 seconds is impossible"):
        HostedPlugin(LIMITER, timeout_s=0)


def run(*words: str) -> str:
    wrapped = typer.Typer()
    wrapped.add_typer(app, name="plugins")
    result = CliRunner().invoke(wrapped, ["plugins", *words])
    assert result.exit_code == 0, result.exception
    return result.output


def test_the_command_lists_shows_and_explains() -> None:
    assert f"{LIMITER}\t/" in run("scan")
    assert f"latency: {LIMITER_LATENCY} samples" in run("show", LIMITER)
    assert re.search(r"^threshold_db\t-?[\d.]+\t-30 to 0 dB$", run("params", LIMITER), re.M)
