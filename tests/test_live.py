"""The live engine against the same board offline; TOLERANCE 0: the samples must be equal.

Only where a model separates, whose own law allows 1e-6 for other blocks, it is that.
"""

import threading

import numpy as np
import pedalboard
import pytest

from soundlasso.bridge.board import Board
from soundlasso.bridge.effect import Effect
from soundlasso.bridge.live import LiveEngine, LiveError, Ring
from soundlasso.bridge.presets.library import load_preset
from tests.board_helpers import Audio, Late, noise

RATE = 48_000
PATIENCE_S = 30.0


def board() -> Board:
    return Board([pedalboard.Invert(), Late(700), pedalboard.Delay(0.01)])


def play(engine: LiveEngine, audio: Audio, block: int, wait_s: float = PATIENCE_S) -> Audio:
    out = np.empty_like(audio)
    for at in range(0, audio.shape[1], block):
        engine.exchange(audio[:, at : at + block], out[:, at : at + block], wait_s)
    return out


def delayed(audio: Audio, latency: int) -> Audio:
    return np.pad(audio, ((0, 0), (latency, 0)))[:, : audio.shape[1]]


@pytest.mark.parametrize("block", [1, 64, 509, 8192])
@pytest.mark.parametrize("hop", [64, 1000])
def test_live_is_the_board_late_by_the_latency(hop: int, block: int) -> None:
    audio = noise(2, 8192 if block == 1 else 40_000)
    with LiveEngine(board(), RATE, 2, hop_samples=hop) as engine:
        assert engine.latency_samples == 700 + 4 * hop
        got = play(engine, audio, block)
    np.testing.assert_array_equal(got, delayed(board()(audio, RATE), engine.latency_samples))
    assert engine.late_blocks == 0


def test_a_preset_live_is_its_board_late_by_the_latency() -> None:
    preset, audio = load_preset("video-call"), noise(2, 40_000)
    with LiveEngine(preset.board(), RATE, 2) as engine:
        assert engine.latency_samples == 4479 + 4 * 1024  # 93 ms in lariat, 179 ms in all
        got = play(engine, audio, 509)
    expected = delayed(preset.board()(audio, RATE), engine.latency_samples)
    np.testing.assert_allclose(got, expected, 0, 1e-6)
    assert np.abs(expected).max() > 0.001


def test_the_least_latency_is_enough_and_less_is_refused() -> None:
    with LiveEngine(board(), RATE, 2, hop_samples=256, latency_samples=955) as engine:
        got = play(engine, noise(), 64)
    np.testing.assert_array_equal(got, delayed(board()(noise(), RATE), 955))
    with pytest.raises(
        LiveError, match=r"19\.9 ms \(954 samples\) is too short: .* need 19\.9 ms \(955 samples\)"
    ):
        LiveEngine(board(), RATE, 2, hop_samples=256, latency_samples=954)


class Stuck(Effect):
    """Waits for permission in its third block."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.blocks = 0

    def block(self, samples: Audio) -> Audio:
        self.blocks += 1
        if self.blocks == 3:
            assert self.go_on.wait(PATIENCE_S)
        return -samples


def test_late_blocks_are_dry_in_place_and_counted() -> None:
    effect, audio = Stuck(), noise(2, 20 * 500)
    with LiveEngine(effect, RATE, 2, hop_samples=500, latency_samples=1000) as engine:
        early = play(engine, audio[:, :2000], 500)  # the blocks due here need two hops done
        late = play(engine, audio[:, 2000:4000], 500, wait_s=0)
        assert engine.late_blocks == 4
        effect.go_on.set()
        rest = play(engine, audio[:, 4000:], 500)
    got = np.concatenate([early, late, rest], axis=1)
    expected = delayed(-audio, 1000)
    expected[:, 2000:4000] *= -1
    np.testing.assert_array_equal(got, expected)


def test_a_worker_far_behind_goes_on_with_the_present() -> None:
    effect, audio = Stuck(), noise(2, 200 * 500)
    with LiveEngine(effect, RATE, 2, hop_samples=500, latency_samples=1000) as engine:
        play(engine, audio[:, :2000], 500)
        play(engine, audio[:, 2000:60_000], 500, wait_s=0)
        effect.go_on.set()
        got = play(engine, audio[:, 60_000:], 500)
    np.testing.assert_array_equal(got[:, :500], audio[:, 59_000:59_500])  # not yet there: dry
    np.testing.assert_array_equal(got[:, 1500:], -audio[:, 60_500:-1000])


class Broken(Effect):
    def block(self, samples: Audio) -> Audio:
        raise LiveError("the string broke")


def test_an_error_in_the_effect_leaves_the_sound_dry_and_is_told() -> None:
    with LiveEngine(Broken(), RATE, 2, hop_samples=100) as engine:
        got = play(engine, noise(), 500)
        assert isinstance(engine.error, LiveError) and str(engine.error) == "the string broke"
    np.testing.assert_array_equal(got[:, 500:], delayed(noise(), 400)[:, 500:])


@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e20])
def test_samples_that_cannot_be_are_silenced_and_counted(bad: float) -> None:
    audio = noise()
    audio[1, 5000] = bad
    repaired = audio.copy()
    repaired[1, 5000] = 0
    with LiveEngine(Board([pedalboard.Delay(0.01)]), RATE, 2, hop_samples=100) as engine:
        got = play(engine, audio, 500)
    expected = Board([pedalboard.Delay(0.01)])(repaired, RATE)
    np.testing.assert_array_equal(got, delayed(expected, 400))
    assert engine.repaired_blocks == 1


def test_a_board_is_edited_while_it_plays() -> None:
    audio, items = noise(2, 20_000), board()
    with LiveEngine(items, RATE, 2, hop_samples=100, latency_samples=3000) as engine:
        first = play(engine, audio[:, :10_000], 500)
        items.append(pedalboard.Invert())
        got = np.concatenate([first, play(engine, audio[:, 10_000:], 500)], axis=1)
    expected = delayed(board()(audio, RATE), 3000)
    np.testing.assert_array_equal(got[:, :10_000], expected[:, :10_000])
    np.testing.assert_array_equal(got[:, -5000:], -expected[:, -5000:])


def test_close_may_be_called_twice() -> None:
    engine = LiveEngine(board(), RATE, 2)
    engine.close()
    engine.close()
    assert engine.error is None


@pytest.mark.parametrize("position", [-3, 0, 6, 999_999])
def test_a_ring_returns_what_was_written_at_a_position(position: int) -> None:
    ring, out = Ring(2, 8), np.empty((2, 5), np.float32)
    ring.write(position, noise(2, 5))
    ring.read(position, out)
    np.testing.assert_array_equal(out, noise(2, 5))
