import numpy as np
import pytest

from soundlasso.dsp.level import FLOOR_DB, RELEASE_DB_PER_S, RunningLevel

FRAME_RATE = 43.0
ROUNDING_DB = 1e-3


def levels_db(follower: RunningLevel, power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(follower.process(power))


def slow_loop(power: np.ndarray) -> np.ndarray:
    level, levels = FLOOR_DB, []
    for value in power:
        level = max(10 * np.log10(value + 1e-20), level - RELEASE_DB_PER_S / FRAME_RATE, FLOOR_DB)
        levels.append(level)
    return np.array(levels)


@pytest.mark.parametrize("at_once", [1, 7, 500])
def test_it_equals_the_slow_loop(at_once: int) -> None:
    power = 10 ** np.random.default_rng(0).uniform(-9, 0, 500)
    follower = RunningLevel(FRAME_RATE)
    parts = [power[None, t : t + at_once] for t in range(0, len(power), at_once)]
    levels = np.concatenate([levels_db(follower, part) for part in parts], -1)[0]
    np.testing.assert_allclose(levels, slow_loop(power), atol=ROUNDING_DB)


def test_a_jump_of_40_db_is_followed_at_once_and_left_slowly() -> None:
    levels = levels_db(RunningLevel(FRAME_RATE), np.repeat([[1e-6, 1e-2, 1e-6]], [10, 10, 400], axis=1))[0]
    assert levels[10] == pytest.approx(-20, abs=ROUNDING_DB)
    assert levels[20 + 43] == pytest.approx(-20 - RELEASE_DB_PER_S, abs=0.5)
    assert levels[-1] == pytest.approx(-60, abs=ROUNDING_DB)


def test_silence_is_not_lifted_without_end() -> None:
    np.testing.assert_allclose(
        levels_db(RunningLevel(FRAME_RATE), np.zeros((1, 5))), FLOOR_DB, atol=ROUNDING_DB
    )
