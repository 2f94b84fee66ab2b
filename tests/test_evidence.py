"""What speaks for a sound: its gains, however few its bands, unless it is far below all else.

TOLERANCE of ratios: 0.02, for the floors.
"""

import pytest
import torch

from soundlasso.models.frames import HEARD_LEVEL, HEDGE, LEARNED_POWER, LEARNED_SHARE, evidence, hedged

TOLERANCE = 0.02
AT_THE_LEVEL = torch.full((1, 1, 256), 2049 * HEARD_LEVEL**2 / 256)  # a frame as loud as the running level


def presence(gains: torch.Tensor, power: torch.Tensor, learned: torch.Tensor | None = None) -> float:
    speaking_for, heard = evidence(gains, power, learned)
    return float(speaking_for[0, 0] / heard[0, 0])


def sure(bands: int) -> torch.Tensor:
    """Return a gain of one in so many bands."""
    return (torch.arange(256) < bands).float().view(1, 1, 1, 256)


@pytest.mark.parametrize("bands", [10, 100, 256])
def test_a_sound_with_bands_of_its_own_is_there_however_few(bands: int) -> None:
    assert presence(sure(bands), AT_THE_LEVEL) == pytest.approx(1, abs=0.05)


def test_hedging_speaks_for_nothing() -> None:
    assert presence(0.1 * sure(256), AT_THE_LEVEL) < 0.1


@pytest.mark.parametrize(("below_db", "expected"), [(0, 1), (-30, 0.5), (-60, 0)])
def test_a_frame_far_below_the_running_level_is_no_evidence(below_db: float, expected: float) -> None:
    assert presence(sure(256), 10 ** (below_db / 10) * AT_THE_LEVEL) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(("below_db", "expected"), [(-20, 0.9), (-30, 0.5), (-60, 0)])
def test_a_stem_far_below_its_frame_is_no_evidence(below_db: float, expected: float) -> None:
    power = torch.where(sure(128)[0] > 0, 10 ** (below_db / 10), 1) * 1000 * AT_THE_LEVEL
    assert presence(sure(128), power) == pytest.approx(expected, abs=TOLERANCE)


def test_the_learned_word_has_its_share() -> None:
    silent, certain = torch.zeros(1, 1, 1, 256), torch.ones(1, 1, 1)
    assert presence(silent, AT_THE_LEVEL, certain) == pytest.approx(LEARNED_SHARE)
    assert presence(silent, AT_THE_LEVEL, certain / 2) == pytest.approx(LEARNED_SHARE / 2**LEARNED_POWER)
    assert presence(sure(256), AT_THE_LEVEL, 0 * certain) == pytest.approx(1 - LEARNED_SHARE, abs=TOLERANCE)


@pytest.mark.parametrize(("surely", "share"), [(0.0, 0.0), (1 / 3, HEDGE), (0.8, 0.216 * HEDGE), (1.0, 0.0)])
def test_an_unsure_stem_keeps_a_little_of_the_mixture(surely: float, share: float) -> None:
    gains = torch.tensor([0.0, 0.3, 1.0]).view(1, 1, 1, 3)
    kept = hedged(gains, torch.full((1, 1, 1, 1), surely)).flatten()
    assert kept.tolist() == pytest.approx([share, 0.3 + 0.7 * share, 1.0], abs=1e-6)
