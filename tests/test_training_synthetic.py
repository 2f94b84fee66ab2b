"""Tests of synthetic effects: every class sounds, and the blocks do what their physics say."""

import random
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from soundlasso.models.training import bank as banks
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.blocks import (
    buzz,
    coloured,
    fading,
    glide,
    repeated,
    samples,
    scattered,
    struck,
    tone,
    wander,
)
from soundlasso.models.training.storage import SAMPLE_RATE, Clip, write_shelf
from soundlasso.models.training.synthetic import CLIPS, MAKERS, effect, make
from soundlasso.models.training.synthetic_crowds import cheer, shout
from soundlasso.models.training.vocabulary import NUMBER, SPEECH
from tests.training_material import make_cache

SECOND = SAMPLE_RATE


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def power_db(wave: np.ndarray, low_hz: float, high_hz: float) -> float:
    hz, power = scipy.signal.welch(wave, SAMPLE_RATE, nperseg=4096)
    return float(10 * np.log10(np.mean(power[(hz >= low_hz) & (hz < high_hz)]) + 1e-20))


@pytest.mark.parametrize("sound", MAKERS)
def test_every_class_sounds_and_the_same_draw_sounds_the_same(sound: str) -> None:
    assert sound in NUMBER and sound not in SPEECH
    first, second = (MAKERS[sound](rng(5), samples(0.8)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (samples(0.8),) and np.isfinite(first).all()
    assert np.sqrt(np.mean(first**2)) > 0.005 * np.abs(first).max() > 0
    assert np.abs(first - MAKERS[sound](rng(6), samples(0.8))).max() > 0


def test_coloured_noise_keeps_to_its_band_and_slope() -> None:
    noise = coloured(rng(), 20 * SECOND, 200, 5000, 6)
    assert np.std(noise) == pytest.approx(1)
    assert power_db(noise, 400, 800) - power_db(noise, 1600, 3200) == pytest.approx(12, abs=1.5)
    assert power_db(noise, 10, 50) < power_db(noise, 250, 400) - 20
    assert power_db(noise, 15000, 20000) < power_db(noise, 1000, 3000) - 40


def test_a_curve_stays_between_its_ends() -> None:
    curve = wander(rng(), SECOND, 7, 0.1, 10)
    assert 0.1 <= curve.min() < 0.5 and 2 < curve.max() <= 10
    np.testing.assert_allclose(glide(5, 1, 3, 2), [1, 2, 3, 2.5, 2])


def test_a_tone_has_its_harmonics_and_none_that_alias() -> None:
    wave = tone(np.full(SECOND, 7000.0), [1, 1, 1])
    spectrum = np.abs(np.fft.rfft(wave)) / (SECOND / 2)
    assert spectrum[[7000, 14000]] == pytest.approx([1, 1], abs=1e-6)
    assert np.delete(spectrum, [7000, 14000]).max() < 1e-6  # 21 kHz is left out


def test_a_fade_is_60_db_down_at_its_end() -> None:
    fade = fading(2 * SECOND, 0.5)
    assert 20 * np.log10(fade[SECOND // 2]) == pytest.approx(-60, abs=0.2)
    assert fade[0] == 0.0 and fade.max() > 0.98


def test_what_is_struck_rings_at_its_frequencies_and_the_higher_die_sooner() -> None:
    wave = struck(rng(), 1.5, [500, 1700], 1.0)
    spectrum = np.abs(np.fft.rfft(wave))
    hz = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    for partial in (500, 1700):
        near = np.abs(hz - partial) < 30
        assert abs(hz[near][spectrum[near].argmax()] - partial) < 3
    early, late = wave[: SECOND // 4], wave[SECOND // 2 : 3 * SECOND // 4]
    fall = [power_db(early, f - 50, f + 50) - power_db(late, f - 50, f + 50) for f in (500, 1700)]
    assert fall[1] > fall[0] + 5


def test_events_happen_as_often_as_they_should() -> None:
    def click(r: np.random.Generator) -> np.ndarray:
        return np.ones(1)

    even = np.flatnonzero(repeated(rng(), 4 * SECOND, 0.25, click, jitter=0.0))
    assert np.diff(even) == pytest.approx(0.25 * SAMPLE_RATE, abs=1)
    assert len(even) in (15, 16)
    random = np.count_nonzero(scattered(rng(), 20 * SECOND, 50, click))
    assert random == pytest.approx(1000, rel=0.15)


def test_a_siren_wails_between_its_tones() -> None:
    for seed in range(4):
        wave = effect("siren", seed)
        hz, _, spectrogram = scipy.signal.spectrogram(wave, SAMPLE_RATE, nperseg=4096)
        below = hz < 1800
        loudest = hz[below][spectrogram[below].argmax(0)]
        assert 300 < loudest.min() and loudest.max() > 1.3 * loudest.min()


def test_a_shelf_is_made_once_for_training_only(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    before = len(Bank(cache, "train").takes)
    assert make("beep", cache) == CLIPS
    assert make("beep", cache) == 0
    bank = Bank(cache, "train")
    assert len(bank.takes) == before + CLIPS
    assert set(bank.by_sound["beep"]) == {"synthetic"}
    assert "beep" not in Bank(cache, "valid").sounds and "beep" not in Bank(cache, "test").sounds


@pytest.mark.parametrize("sound", ["crowd_chatter", "crowd_cheer"])
def test_a_crowd_is_many_voices(tmp_path: Path, sound: str) -> None:
    cache = make_cache(tmp_path)
    assert make(sound, cache) == CLIPS
    (takes,) = Bank(cache, "train").by_sound[sound].values()
    audio = takes[0].read(0, 10 * SECOND)
    assert len(audio) >= 2 * SECOND and np.abs(audio).max() > 0.5


@pytest.mark.parametrize(("few_s", "made"), [(0.0, 1000), (1e9, 2000)])
def test_formulas_are_drawn_half_as_often_as_recordings_or_twice_where_those_are_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_s: float, made: int
) -> None:
    monkeypatch.setattr(banks, "FEW_S", few_s)
    cache = make_cache(tmp_path)
    make("bell", cache)
    bank, draw = Bank(cache, "train"), random.Random(0)
    drawn = [bank.source("bell", draw)[0].clip.source for _ in range(3000)]
    assert drawn.count("synthetic") == pytest.approx(made, rel=0.15)  # though there are minutes of it


def test_what_is_of_one_source_counts_as_little_whatever_its_length(tmp_path: Path) -> None:
    def clip(source: str, seconds: int) -> tuple[Clip, np.ndarray]:
        return Clip(0, 0, "bell", source, "train"), np.full(seconds * SECOND, 9000, np.int16)

    cache, draw = make_cache(tmp_path), random.Random(0)
    make("bell", cache)
    shares = []
    for number, seconds in enumerate((60, 40)):
        write_shelf(cache.room("recordings") / f"more-{number}", [clip(f"tower{number}", seconds)])
        bank = Bank(cache, "train")
        shares.append(
            [bank.source("bell", draw)[0].clip.source for _ in range(2000)].count("synthetic") / 2000
        )
    assert shares == pytest.approx([2 / 3, 1 / 3], abs=0.05)


def test_a_party_shouts_high_and_dies_away() -> None:
    voices = [buzz(rng(), np.full(2 * SECOND, 110.0 + 10 * i)).astype(np.float32) for i in range(12)]
    cheers = [cheer(np.random.default_rng(seed), 4 * SECOND, voices) for seed in range(12)]
    assert all(np.isfinite(wave).all() and len(wave) == 4 * SECOND for wave in cheers)
    early, late = (
        np.mean([w[part] ** 2 / np.mean(w**2) for w in cheers])
        for part in (slice(2 * SECOND), slice(2 * SECOND, None))
    )
    assert early > 1.3 * late


def test_a_shout_has_a_pitch_of_its_own_whoever_shouts() -> None:
    def pitch_hz(speaker_hz: float, seed: int) -> float:
        voice = buzz(rng(), np.full(2 * SECOND, speaker_hz), tilt=0).astype(np.float32)
        wave = shout(np.random.default_rng(seed), voice)
        piece = wave[np.abs(wave).argmax() - 512 :][:2048]
        alike = np.correlate(piece, piece, "full")[len(piece) - 1 :]
        shortest, longest = SAMPLE_RATE // 1000, SAMPLE_RATE // 85
        return SAMPLE_RATE / (shortest + alike[shortest:longest].argmax())

    pitches = np.array([[pitch_hz(hz, seed) for hz in (100, 230)] for seed in range(8)])
    assert 80 < pitches.min() and pitches.max() > 300 and np.ptp(pitches) > 200
    apart = np.abs(np.log2(pitches[:, 0] / pitches[:, 1]))
    assert np.median(apart) < 0.2  # the speakers are 1.2 octaves apart; shouts are measured while they glide
