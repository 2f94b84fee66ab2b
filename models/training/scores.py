"""Scores from music21's collection as pieces of parts, read once and kept in the cache."""

import json
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, cast

from soundlasso.dsp.errors import SoundlassoError
from soundlasso.models.atomic import write_whole
from soundlasso.models.training.phrases import Note, Part, Piece, role
from soundlasso.models.training.storage import Cache

if TYPE_CHECKING:
    from music21.stream import Score

COMPOSERS = (
    "bach",
    "haydn",
    "mozart",
    "beethoven",
    "corelli",
    "monteverdi",
    "palestrina",
    "joplin",
    "schumann",
)
PER_COMPOSER = 14


def read_scores(cache: Cache) -> list[Piece]:
    """Return the collection's pieces with two parts or more; the first call takes some minutes."""
    kept = cache.root / "scores.json"
    if not kept.exists():
        names = _names()
        with ProcessPoolExecutor(2) as pool:
            found = [piece for piece in pool.map(_read, names) if piece]
        write_whole(kept, json.dumps(found).encode())
    rows: list[tuple[str, list[list[list[float]]]]] = json.loads(kept.read_text())
    return [_piece(name, parts) for name, parts in rows]


def _names() -> list[str]:
    try:
        from music21 import corpus
    except ImportError as error:
        raise SoundlassoError("reading scores needs music21; pip install 'soundlasso[training]'") from error
    rng = random.Random(0)
    names: list[str] = []
    for composer in COMPOSERS:
        paths = sorted(str(path) for path in corpus.getComposer(composer))
        names += rng.sample(paths, min(PER_COMPOSER, len(paths)))
    return names


def _read(path: str) -> tuple[str, list[list[list[float]]]] | None:
    """Return a score as its name and, a part, rows of start, length (seconds), pitch and velocity."""
    from music21 import converter

    score = cast("Score", converter.parse(path))
    rng = random.Random(Path(path).name)  # not where it is installed: the test lists are the same everywhere
    beat_s = 60 / rng.uniform(70, 130)
    parts = []
    for part in score.parts:
        rows: list[list[float]] = []
        for element in part.flatten().notes:
            start_s, length_s = float(element.offset) * beat_s, float(element.quarterLength) * beat_s
            rows += [
                [start_s, max(0.05, 0.95 * length_s), p.midi, rng.randrange(60, 110)] for p in element.pitches
            ]
        if len(rows) >= 20:
            parts.append(sorted(rows))
    return (Path(path).stem, parts) if len(parts) >= 2 else None


def _piece(name: str, parts: list[list[list[float]]]) -> Piece:
    notes = [
        [Note(start_s, length_s, int(pitch), int(loud)) for start_s, length_s, pitch, loud in rows]
        for rows in parts
    ]
    return Piece(name, tuple(Part(role(rows), rows) for rows in notes))
