"""Tests of speakers that sing: the tune is followed, and the throat stays theirs."""

import numpy as np
import scipy.signal

from soundlasso.models.training.blocks import buzz, coloured, glide, samples, through
from soundlasso.models.training.singing import melody, sing
from soundlasso.models.training.storage import SAMPLE_RATE

FORMANTS_HZ = (700.0, 2500.0)
PITCH = 0.03  # a third of a semitone to either side
FORMANT_HZ = 150.0


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def spoken(seconds: float, hz: float = 120.0) -> np.ndarray:
    """Return a vowel whose pitch falls, as in speech."""
    pitch = hz * glide(samples(seconds), 1.2, 1, 0.8)
    return through(buzz(rng(), pitch), FORMANTS_HZ, 5, 0.05)


def pitch_of(wave: np.ndarray, lowest_hz: float, highest_hz: float) -> float:
    alike = scipy.signal.correlate(wave, wave, method="fft")[len(wave) - 1 :]
    first, last = round(SAMPLE_RATE / highest_hz), round(SAMPLE_RATE / lowest_hz)
    return SAMPLE_RATE / (first + int(np.argmax(alike[first:last])))


def peak_hz(wave: np.ndarray, low_hz: float, high_hz: float) -> float:
    hz, power = scipy.signal.welch(wave, SAMPLE_RATE, nperseg=512)
    power = np.convolve(power, np.ones(3), "same")
    inside = (hz > low_hz) & (hz < high_hz)
    return float(hz[inside][np.argmax(power[inside])])


def test_what_is_sung_follows_the_tune_and_not_the_speaker() -> None:
    n = samples(3)
    sung = sing(spoken(1.5), np.full(n, 220.0), rng())
    assert sung.shape == (n,) and np.isfinite(sung).all()
    for start in range(samples(0.3), samples(2.6), samples(0.2)):
        found = pitch_of(sung[start : start + samples(0.1)], 80, 500)
        assert abs(found / 220 - 1) < PITCH, f"{found:.0f} Hz"


def test_the_throat_stays_the_speakers() -> None:
    sung = sing(spoken(1.5), np.full(samples(2), 110.0), rng())
    assert abs(peak_hz(sung, 400, 1200) - FORMANTS_HZ[0]) < FORMANT_HZ
    assert abs(peak_hz(sung, 1800, 3500) - FORMANTS_HZ[1]) < FORMANT_HZ


def test_breath_stays_breath() -> None:
    hiss = coloured(rng(1), samples(1), 3000, 9000)
    sung = sing(hiss, np.full(samples(1), 220.0), rng())
    middle = sung[samples(0.2) : samples(0.8)]
    alike = scipy.signal.correlate(middle, middle, method="fft")[len(middle) - 1 :]
    assert alike[round(SAMPLE_RATE / 220)] < 0.2 * alike[0]


def test_tunes_stay_in_their_range_and_move_in_steps() -> None:
    hz = melody(rng(2), samples(8), 110, 1.5)
    assert hz.shape == (samples(8),)
    assert 110 * 2 ** (-1.5 / 12) < hz.min() < 150 < hz.max() < 110 * 2**1.5 * 2 ** (1.5 / 12)
    steps = 12 * np.log2(hz / 110)
    near = np.abs(steps - np.round(steps))
    assert np.median(near) < 0.2  # vibrato and slides are the rest
    np.testing.assert_array_equal(hz, melody(rng(2), samples(8), 110, 1.5))
