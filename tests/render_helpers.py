"""A short mix in a file, for tests that render it."""

from pathlib import Path

import soundfile

from tests.signals import Audio, noise, sine

RATE = 22050
LENGTH = 40_001
QUERIES = ("drums", "a flute")


def mixture(channels: int = 2) -> Audio:
    audio = noise(channels, LENGTH, level=0.05)
    audio[:, 10_000:] += sine(700, RATE, LENGTH - 10_000, level=0.3)
    return audio


def write_mix(folder: Path, name: str = "song.wav", subtype: str = "FLOAT", channels: int = 2) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, mixture(channels).T, RATE, subtype=subtype)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
