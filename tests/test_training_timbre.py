"""Tests of other timbres, by what each must change and what it must leave."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import scipy.signal

from soundlasso.dsp.bands import N_BINS
from soundlasso.models.training.examples import spectra
from soundlasso.models.training.storage import SAMPLE_RATE
from soundlasso.models.training.timbre import (
    MOST_DB,
    another,
    body,
    borrowed,
    brightened,
    company,
    drive,
    dynamics,
)

LENGTH = 3 * SAMPLE_RATE
Change = Callable[[np.ndarray, random.Random], np.ndarray]
TIME = np.arange(LENGTH) / SAMPLE_RATE


def sine(frequency_hz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency_hz * TIME)).astype(np.float32)


def level_db(audio: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(audio**2)))


@pytest.mark.parametrize("change", [another, drive, dynamics, company])
def test_silence_stays_silent_and_the_same_draw_gives_the_same(change: Change) -> None:
    assert not change(np.zeros(LENGTH, np.float32), random.Random(0)).any()
    audio = np.random.default_rng(0).standard_normal(LENGTH).astype(np.float32)
    first, second = (change(audio, random.Random(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32 and first.shape == audio.shape and np.isfinite(first).all()


def test_drive_adds_odd_harmonics_and_nothing_between() -> None:
    driven = max(
        (drive(sine(441), random.Random(seed)) for seed in range(20)), key=lambda a: -np.abs(a).max()
    )
    spectrum = 20 * np.log10(np.abs(np.fft.rfft(driven)) + 1e-9)
    bins = 441 * LENGTH // SAMPLE_RATE
    assert spectrum[3 * bins] > spectrum[bins] - 40
    assert max(spectrum[2 * bins], spectrum[round(2.5 * bins)]) < spectrum[bins] - 90


def test_dynamics_move_levels_no_further_than_they_may() -> None:
    audio = sine(500) * np.where(TIME < 1.5, 1, 0.05).astype(np.float32)
    moved = []
    for seed in range(20):
        changed = dynamics(audio, random.Random(seed))
        loud, quiet = slice(SAMPLE_RATE // 10, SAMPLE_RATE), slice(2 * SAMPLE_RATE, LENGTH)
        step_db = level_db(changed[loud]) - level_db(changed[quiet])
        moved.append(step_db - 20 * np.log10(20))
    assert min(moved) < -5 and max(moved) > 5
    assert max(map(abs, moved)) <= 2 * MOST_DB


def test_company_is_late_by_a_few_milliseconds() -> None:
    click = np.zeros(LENGTH, np.float32)
    click[SAMPLE_RATE] = 1
    for seed in range(10):
        beside = company(click, random.Random(seed)) - click
        late = np.flatnonzero(beside) - SAMPLE_RATE
        assert 0.001 * SAMPLE_RATE < late.min() <= late.max() < 0.024 * SAMPLE_RATE


def test_a_body_moves_formants_and_leaves_the_pitch() -> None:
    pulses = np.zeros(LENGTH)
    pulses[:: SAMPLE_RATE // 147] = 1
    b, a = scipy.signal.iirpeak(2000, 4, SAMPLE_RATE)
    voice = scipy.signal.lfilter(b, a, pulses).astype(np.float32)
    before = spectra(voice)
    after = body(before, 0.3)
    bin_hz = SAMPLE_RATE / (2 * (before.shape[1] - 1))

    def peak_hz(frames: np.ndarray) -> float:
        power = np.mean(np.abs(frames) ** 2, 0)
        envelope = scipy.signal.savgol_filter(power, 61, 2)
        return float(envelope.argmax() * bin_hz)

    assert peak_hz(after) / peak_hz(before) == pytest.approx(2**0.3, rel=0.06)
    comb = np.abs(np.fft.rfft(np.log(np.abs(after[10, :600]) + 1e-4)))
    teeth = np.abs(np.fft.rfft(np.log(np.abs(before[10, :600]) + 1e-4)))
    assert comb[20:].argmax() == teeth[20:].argmax()
    np.testing.assert_allclose(body(before, 0.0), before, rtol=1e-4, atol=1e-6)


def test_a_borrowed_colour_is_the_other_sounds() -> None:
    rng = np.random.default_rng(4)
    noises = []
    for slope_db in (-1.0, -3.0):  # an octave
        noise = rng.standard_normal((40, N_BINS)) + 1j * rng.standard_normal((40, N_BINS))
        noises.append(noise * 10 ** (slope_db * np.log2(np.arange(N_BINS) + 1) / 20))
    gain_db = 20 * np.log10(borrowed(*noises))
    slope_db = np.polyfit(np.log2(np.arange(8, N_BINS // 2)), gain_db[8 : N_BINS // 2], 1)[0]
    assert slope_db == pytest.approx(-2, abs=0.3)
    np.testing.assert_allclose(borrowed(noises[0], noises[0]), 1)


def test_a_borrowed_colour_has_no_pitch_in_it_and_no_extremes() -> None:
    one, other = spectra(np.stack([sine(440), sine(3000)]))
    gain_db = 20 * np.log10(borrowed(one, other))
    assert np.abs(gain_db).max() <= MOST_DB + 1e-4
    assert (
        np.abs(np.diff(gain_db[8:])).max() < 4
    )  # between neighbours of 11 Hz; one is 1/6 octave at the eighth
    assert np.isfinite(borrowed(np.zeros_like(one), other)).all()


@pytest.mark.parametrize("cut_hz", [2756.0, 5512.0, 11025.0])
def test_a_brightened_sound_goes_on_above_its_cut_and_is_the_same_below(cut_hz: float) -> None:
    rng = np.random.default_rng(0)
    full = rng.standard_normal((40, N_BINS)).astype(np.complex64)
    hz = np.arange(N_BINS) * SAMPLE_RATE / 2 / (N_BINS - 1)
    narrow = np.where(hz < cut_hz, full, 0)
    for seed in range(5):
        bright = brightened(narrow, random.Random(seed))
        assert bright.dtype == np.complex64
        np.testing.assert_array_equal(bright[:, hz < 0.94 * cut_hz], narrow[:, hz < 0.94 * cut_hz])
        just, far = (
            np.mean(np.abs(bright[:, (hz > a) & (hz < 1.1 * a)]) ** 2) for a in (cut_hz, 1.8 * cut_hz)
        )
        assert -10 < 10 * np.log10(just) < 1  # up to 6 dB, and what falls within a tenth of an octave
        assert -26 < 10 * np.log10(far / just) < -3


def test_nothing_is_brightened_that_is_wide_already_or_silent() -> None:
    rng = np.random.default_rng(0)
    for wide in (rng.standard_normal((4, N_BINS)).astype(np.complex64), np.zeros((4, N_BINS), np.complex64)):
        np.testing.assert_array_equal(brightened(wide, random.Random(0)), wide)
