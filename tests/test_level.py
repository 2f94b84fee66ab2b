import numpy as np
import pytest
import torch

from soundlasso.dsp.level import FLOOR_DB, RELEASE_DB_PER_S, RunningLevel

FRAME_RATE = 43.0
ROUNDING_DB = 1e-3


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
    parts = torch.split(torch.from_numpy(power.astype(np.float32))[None], at_once, -1)
    levels = torch.cat([follower.process(part) for part in parts], -1)[0]
    np.testing.assert_allclose(levels.numpy(), slow_loop(power), atol=ROUNDING_DB)


def test_a_jump_of_40_db_is_followed_at_once_and_left_slowly() -> None:
    power = torch.cat([torch.full((1, 10), 1e-6), torch.full((1, 10), 1e-2), torch.full((1, 400), 1e-6)], -1)
    levels = RunningLevel(FRAME_RATE).process(power)[0]
    assert levels[10] == pytest.approx(-20, abs=ROUNDING_DB)
    assert levels[20 + 43] == pytest.approx(-20 - RELEASE_DB_PER_S, abs=0.5)
    assert levels[-1] == pytest.approx(-60, abs=ROUNDING_DB)


def test_silence_is_not_lifted_without_end() -> None:
    assert RunningLevel(FRAME_RATE).process(torch.zeros(1, 5)).tolist() == [[FLOOR_DB] * 5]
