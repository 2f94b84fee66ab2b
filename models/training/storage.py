"""Where the recipe keeps its material, and the one form in which audio is kept.

A *shelf* is two files: `NAME.npy`, int16 samples of many clips end to end, and `NAME.csv`, one clip a row
(start, length, class, source, split, and for music the piece and the part's place in it).  Shelves
are mapped, never loaded, so a bank of many hours costs no memory until it is played.
"""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import platformdirs

SAMPLE_RATE = 44100
TOGETHER = " & "
"""Joins the names of two sources that play in unison."""
PEAK = 0.7
"""Level to which each clip's highest sample is set; mixing sets levels anew."""


@dataclass(frozen=True)
class Cache:
    """The folder that holds everything the recipe downloads and makes (some 20 GB)."""

    root: Path

    @classmethod
    def open(cls, folder: Path | None = None) -> "Cache":
        """Use `folder`, else $SOUNDLASSO_TRAINING_CACHE, else the user's cache folder."""
        named = os.environ.get("SOUNDLASSO_TRAINING_CACHE")
        root = folder or (
            Path(named) if named else Path(platformdirs.user_cache_dir("soundlasso")) / "training"
        )
        root.mkdir(parents=True, exist_ok=True)
        return cls(root.resolve())

    def room(self, name: str) -> Path:
        """Return the folder `name` inside the cache, made if needed."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass(frozen=True)
class Clip:
    """One clip on a shelf; `piece` names what a part belongs to, `part` the role it has there."""

    start: int
    length: int
    sound: str
    source: str
    split: str
    piece: str = ""
    part: str = ""
    bandwidth_hz: float = 0.0

    @classmethod
    def of(cls, row: Mapping[str, str]) -> "Clip":
        """Read a row of a shelf's table."""
        return cls(
            int(row["start"]), int(row["length"]), row["sound"], row["source"], row["split"], row["piece"],
            row["part"], float(row["bandwidth_hz"]),
        )  # fmt: skip


CLIP_FIELDS = [f.name for f in fields(Clip)]


def to_int16(audio: np.ndarray) -> np.ndarray | None:
    """Set a mono clip's peak to PEAK as int16; None for one that is silent.

    Shape: (samples,) float32.
    """
    peak = float(np.abs(audio).max(initial=0.0))
    if peak < 0.005:
        return None
    return np.asarray(np.round(audio * (PEAK / peak * 32767)), np.int16)


def write_shelf(path: Path, clips: Iterable[tuple[Clip, np.ndarray]]) -> int:
    """Write a shelf whole or not at all; `start` and `length` are filled in here.  Return the clips kept.

    The samples appear first and the table last, so a shelf with a table is complete.
    """
    rows: list[list[object]] = []
    arrays: list[np.ndarray] = []
    start = 0
    for clip, audio in clips:
        rows.append([start, len(audio), *(getattr(clip, name) for name in CLIP_FIELDS[2:])])
        arrays.append(audio)
        start += len(audio)
    samples = np.concatenate(arrays) if arrays else np.zeros(0, np.int16)
    partial = path.with_suffix(".partial.npy")
    np.save(partial, samples)
    partial.replace(path.with_suffix(".npy"))
    table = path.with_suffix(".partial.csv")
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([CLIP_FIELDS, *rows])
    table.replace(path.with_suffix(".csv"))
    return len(rows)


def has_shelf(path: Path) -> bool:
    """Tell whether a complete shelf lies at `path`."""
    return path.with_suffix(".csv").exists()


def read_shelf(path: Path) -> tuple[np.ndarray, list[Clip]]:
    """Map a shelf: all its samples (int16, not in memory) and its clips."""
    samples = np.load(path.with_suffix(".npy"), mmap_mode="r")
    with path.with_suffix(".csv").open(newline="") as file:
        clips = [Clip.of(row) for row in csv.DictReader(file)]
    return samples, clips


def shelves(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """Return the complete shelves of a folder, by name."""
    return sorted(p.with_suffix("") for p in folder.glob("*.csv") if not names or p.stem in names)
