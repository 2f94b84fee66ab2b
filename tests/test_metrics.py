import math

import numpy as np
import pytest

from soundlasso.dsp.metrics import (
    null_depth_db,
    peak_db,
    rms_db,
    sdr,
    sdr_improvement,
    si_sdr,
    si_sdr_improvement,
)
from tests.signals import noise

EXACT_DB = 1e-3


def test_sdr_of_known_noise() -> None:
    reference = np.ones((1, 1000), np.float32)
    assert sdr(reference, reference + 0.1) == pytest.approx(20, abs=EXACT_DB)


def test_sdr_counts_a_wrong_level_and_si_sdr_does_not() -> None:
    reference = noise(1, 10_000)
    error = noise(1, 10_000, seed=1, level=0.001)
    assert sdr(reference, 0.5 * reference) == pytest.approx(20 * math.log10(2), abs=EXACT_DB)
    quieter = si_sdr(reference, 0.5 * (reference + error))
    assert quieter == pytest.approx(si_sdr(reference, reference + error), abs=EXACT_DB)


def test_si_sdr_equals_its_definition() -> None:
    generator = np.random.default_rng(3)
    reference, estimate = generator.standard_normal((2, 5000))
    along = (reference @ estimate) / (reference @ reference) * reference
    across = estimate - along
    expected = 10 * math.log10((along @ along) / (across @ across))
    assert si_sdr(reference, estimate) == pytest.approx(expected, abs=EXACT_DB)


def test_improvement_is_measured_from_the_mixture() -> None:
    reference, other = noise(1, 10_000), noise(1, 10_000, seed=1)
    mixture = reference + other
    better = reference + 0.1 * other
    assert sdr_improvement(reference, better, mixture) == pytest.approx(20, abs=EXACT_DB)
    assert si_sdr_improvement(reference, mixture, mixture) == 0


def test_null_depth_is_the_largest_error() -> None:
    mixture = noise(2, 1000)
    parts = np.stack([0.25 * mixture, 0.75 * mixture])
    assert null_depth_db(mixture, parts) < -140
    parts[0, 1, 7] += 0.01
    assert null_depth_db(mixture, parts) == pytest.approx(-40, abs=0.01)


def test_what_is_no_number_is_neither_equal_nor_silent() -> None:
    broken = np.full((2, 10), math.nan)
    assert math.isnan(null_depth_db(np.ones((2, 10)), broken[None]))
    assert math.isnan(peak_db(broken)) and math.isnan(rms_db(broken))


def test_levels_of_silence_and_nothing() -> None:
    assert rms_db(np.zeros((1, 10))) == peak_db(np.zeros((1, 0))) == -math.inf
    assert peak_db(np.array([0.5, -1.0])) == 0
    assert rms_db(np.full(10, 0.1)) == pytest.approx(-20, abs=EXACT_DB)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="must have one shape"):
        sdr(np.zeros(3), np.zeros(4))
