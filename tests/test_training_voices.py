"""Tests of instruments by formula: pitch, time, and what sets classes apart."""

import random

import numpy as np
import pytest

from soundlasso.models.training.phrases import Note
from soundlasso.models.training.storage import SAMPLE_RATE
from soundlasso.models.training.vocabulary import MUSICAL
from soundlasso.models.training.voices import VOICES, draw

A3 = Note(0.1, 1.0, 57, 100)  # 220 Hz
SECONDS = 1.5


def spectrum(audio: np.ndarray) -> np.ndarray:
    """Return magnitudes at 1 Hz steps of the held part of the note."""
    held = audio[round(0.3 * SAMPLE_RATE) : round(0.9 * SAMPLE_RATE)]
    return np.abs(np.fft.rfft(held * np.hanning(len(held)), SAMPLE_RATE))


@pytest.mark.parametrize("sound", VOICES)
def test_a_note_is_in_tune_and_in_time(sound: str) -> None:
    assert sound in MUSICAL
    audio = draw(sound, random.Random(4)).play([A3], SECONDS)
    assert audio.shape == (round(SECONDS * SAMPLE_RATE),) and np.isfinite(audio).all()
    assert np.abs(audio).max() == pytest.approx(1)
    assert not audio[: round(0.1 * SAMPLE_RATE)].any()
    heard = spectrum(audio)
    low = heard[: 12 * 220]
    on_harmonics = sum(low[round(k * 220 * 0.97) : round(k * 220 * 1.035) + 1].sum() for k in range(1, 12))
    assert on_harmonics > 0.5 * low[100:].sum()


def test_the_same_draw_is_the_same_instrument_and_another_is_another() -> None:
    first, second, other = (draw("violin", random.Random(seed)).play([A3], SECONDS) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(np.corrcoef(spectrum(first), spectrum(other))[0, 1]) < 0.999


def test_plucked_notes_die_and_held_ones_stay() -> None:
    def fall_db(sound: str) -> float:
        audio = draw(sound, random.Random(3)).play([A3], SECONDS)
        early, late = (audio[round(t * SAMPLE_RATE) :][: SAMPLE_RATE // 10] for t in (0.35, 0.95))
        return float(10 * np.log10(np.mean(early**2) / np.mean(late**2)))

    assert fall_db("acoustic_guitar") > 3
    assert abs(fall_db("pipe_organ")) < 3


def test_a_clarinet_lacks_even_harmonics() -> None:
    even, odd = 0.0, 0.0
    for seed in range(12):
        heard = spectrum(draw("clarinet", random.Random(seed)).play([A3], SECONDS))
        even += heard[430:451].max() / heard[215:226].max()
        odd += heard[645:676].max() / heard[215:226].max()
    assert even < 0.5 * odd


def test_soft_notes_are_darker_and_quieter() -> None:
    notes = [Note(0.0, 0.6, 57, 120), Note(0.8, 0.6, 57, 30)]
    audio = draw("trumpet", random.Random(0)).play(notes, SECONDS)
    loud, soft = (
        audio[: round(0.6 * SAMPLE_RATE)],
        audio[round(0.8 * SAMPLE_RATE) :][: round(0.6 * SAMPLE_RATE)],
    )
    assert np.std(soft) < 0.3 * np.std(loud)

    def bright(part: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(part)) ** 2
        return float(power[round(1500 * 0.6) :].sum() / power.sum())

    assert bright(soft) < bright(loud)
