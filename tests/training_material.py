"""A tiny cache for the training recipe: synthetic sounds of a few classes, on real shelves."""

from pathlib import Path

import numpy as np

from soundlasso.models.training.queries import words_path
from soundlasso.models.training.storage import SAMPLE_RATE, Cache, Clip, to_int16, write_shelf
from soundlasso.models.training.vocabulary import GROUPS, SOUNDS

PIECES = ("piano", "bass_guitar", "drum_kit", "violin")
LOOSE = (
    "speech_female",
    "speech_male",
    "dog",
    "rain",
    "explosion",
    "bell",
    "footsteps",
    "piano",
    "trumpet",
    "music",
)


def tone(frequency_hz: float, seconds: float, seed: int) -> np.ndarray:
    """A decaying tone with harmonics and a little noise, beaten twice a second."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(seed).standard_normal(len(time)) * 0.02
    wave = sum(np.sin(2 * np.pi * frequency_hz * k * time) / k for k in (1, 2, 3)) + noise
    return (wave * np.exp(-4 * (time % 0.5))).astype(np.float32)


def make_cache(folder: Path, splits: tuple[str, ...] = ("train", "valid", "test")) -> Cache:
    """Fill a cache with a few seconds of every class in PIECES and LOOSE, and with vectors for all words."""
    cache = Cache.open(folder)
    for split in splits:
        clips = []
        for i, sound in enumerate(LOOSE):
            seconds = 6.0 if i % 2 else 0.7
            audio = to_int16(tone(110 * 1.3**i, seconds, i))
            assert audio is not None
            clips.append((Clip(0, 0, sound, f"{split} {sound}", split), audio))
        write_shelf(cache.room("recordings") / f"loose-{split}", clips)
        parts = []
        for i, sound in enumerate(PIECES):
            audio = to_int16(tone(80 * 1.5**i, 6.0, 50 + i))
            assert audio is not None
            parts.append((Clip(0, 0, sound, f"{split} {sound}", split, f"{split} piece", "lead"), audio))
        write_shelf(cache.room("instruments") / f"pieces-{split}", parts)
    write_words(cache)
    return cache


def write_words(cache: Cache) -> None:
    """Write unit vectors in place of encoded captions, which would take minutes to encode."""
    rng = np.random.default_rng(0)
    vectors = {name: rng.standard_normal((8, 384)) for name in (*SOUNDS, *(f"group {g}" for g in GROUPS))}
    unit = {
        name: (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float16) for name, v in vectors.items()
    }
    np.savez(words_path(cache), **unit)
