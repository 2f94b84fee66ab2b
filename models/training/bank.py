"""The sounds of one split, ready to be laid into mixtures."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from soundlasso.models.training.storage import SAMPLE_RATE, TOGETHER, Cache, Clip, read_shelf, shelves
from soundlasso.models.training.vocabulary import NUMBER

QUIET = 1e-5
"""Mean square under which a window counts as silent and another one is tried."""
TRIES = 8
SYNTHETIC = "synthetic"
"""The source of clips that a formula has made."""
FEW_S = 20.0
"""Where fewer seconds than these are recorded beside a class's longest source, formulas come more often."""
MISLEADING = frozenset(
    {
        *("generaluser:11:0", "generaluser:11:1", "generaluser:11:5"),  # pianos with strings or bells beside
        *("generaluser:12:38", "generaluser:11:38", "generaluser:11:39"),  # synthesizers for bass guitars
        *("generaluser:8:19", "fluid:8:19"),  # pipe organs for electric ones
        *(
            "generaluser:12:48",
            "generaluser:2:120",
            "generaluser:11:88",
        ),  # orchestra, slap, synthetic strings
    }
)
"""Instruments of which a soundfont holds something else than their class; nobody plays them."""
PAUSES_S = (0.03, 0.1, 0.3, 0.8, 2.0)


@dataclass(frozen=True)
class Take:
    """One clip, the samples of the shelf it lies on, and its number in the bank."""

    clip: Clip
    samples: np.ndarray
    number: int

    def read(self, offset: int, length: int) -> np.ndarray:
        """Return up to `length` samples from `offset` on.  Shape: (<= length,) float32."""
        start = self.clip.start + offset
        stop = min(start + length, self.clip.start + self.clip.length)
        return self.samples[start:stop].astype(np.float32) / 32768


@dataclass(frozen=True)
class Placement:
    """Where a take sounds: its first sample lies `at` samples after the window's start (or before it)."""

    take: Take
    at: int
    gain: float = 1.0


@dataclass(frozen=True)
class Track:
    """Takes laid over `span` samples, to be played at the speed that fits them into a mixture."""

    span: int
    placements: tuple[Placement, ...]

    def render(self, length: int) -> np.ndarray:
        """Play the track in `length` samples: pitch and formants move with the speed.

        Shape: (length,) float32.
        """
        out = np.zeros(self.span, np.float32)
        for placement in self.placements:
            first = max(0, placement.at)
            audio = placement.take.read(max(0, -placement.at), self.span - first)
            out[first : first + len(audio)] += audio * np.float32(placement.gain)
        if self.span == length:
            return out
        moved = soxr.resample(out, self.span, length, "LQ")
        return np.asarray(np.pad(moved, (0, max(0, length - len(moved))))[:length], np.float32)

    def is_quiet(self) -> bool:
        """Tell whether nothing much sounds; every eighth sample is enough to know."""
        heard = 0.0
        for placement in self.placements:
            first, offset = max(0, placement.at), max(0, -placement.at)
            start = placement.take.clip.start + offset
            stop = min(start + self.span - first, placement.take.clip.start + placement.take.clip.length)
            thin = placement.take.samples[start:stop:8].astype(np.float32) / 32768
            heard += 8 * float(thin @ thin) * placement.gain**2
        return heard < QUIET * self.span


class Bank:
    """All takes of one split, by class and source, and the pieces whose parts belong together.

    Parameters
    ----------
    cache
        Where the corpus and instruments steps left their shelves.
    split
        train, valid or test.
    """

    def __init__(self, cache: Cache, split: str) -> None:
        self.takes: list[Take] = []
        self.by_sound: dict[str, dict[str, list[Take]]] = defaultdict(lambda: defaultdict(list))
        pieces: dict[str, list[Take]] = defaultdict(list)
        for folder in ("recordings", "instruments"):
            for shelf in shelves(cache.room(folder)):
                samples, clips = read_shelf(shelf)
                for clip in clips:
                    if clip.split == split and clip.sound in NUMBER and _is_what_it_says(clip):
                        self._add(Take(clip, samples, len(self.takes)), pieces)
        self._weights = {sound: _weights(sources) for sound, sources in self.by_sound.items()}
        self.pieces = [takes for takes in pieces.values() if len({t.clip.sound for t in takes}) >= 2]
        self.sounds = sorted(self.by_sound)

    def _add(self, take: Take, pieces: dict[str, list[Take]]) -> None:
        self.takes.append(take)
        self.by_sound[take.clip.sound][take.clip.source].append(take)
        if take.clip.piece:
            pieces[take.clip.piece].append(take)

    def source(self, sound: str, rng: random.Random) -> list[Take]:
        """Choose a source of a class (a speaker, an instrument); those with more material more often."""
        return rng.choices(list(self.by_sound[sound].values()), self._weights[sound])[0]

    def track(self, sound: str, length: int, rng: random.Random, rate: float = 1.0) -> Track:
        """Lay a class's sound into `length` samples, `rate` times as fast; tries again where it is silent."""
        for _ in range(TRIES - 1):
            track = lay(self.source(sound, rng), round(length * rate), rng)
            if not track.is_quiet():
                return track
        return lay(self.source(sound, rng), round(length * rate), rng)


def _is_what_it_says(clip: Clip) -> bool:
    return MISLEADING.isdisjoint(clip.source.split(TOGETHER))


def _weights(sources: Mapping[str, Sequence[Take]]) -> list[float]:
    """Return how often to draw each source; what is made by formula, once for two that are recorded.

    Where nearly all is of one source, or there are but seconds, it is the other way round: they would be
    known by heart.
    """
    lengths = {name: sum(take.clip.length for take in takes) for name, takes in sources.items()}
    weights = {name: length**0.5 for name, length in lengths.items()}
    recorded = [name for name in sources if name != SYNTHETIC]
    if SYNTHETIC in sources and recorded:
        beside = sum(sorted(lengths[name] for name in recorded)[:-1])
        few = beside < FEW_S * SAMPLE_RATE
        most = sum(weights[name] for name in recorded) * (2 if few else 0.5)
        weights[SYNTHETIC] = min(weights[SYNTHETIC], most)
    return list(weights.values())


def lay(takes: Sequence[Take], span: int, rng: random.Random) -> Track:
    """Lay takes of one source over `span` samples: a window of a long one, or several with pauses between."""
    take = rng.choice(takes)
    if take.clip.length > span:
        return Track(span, (Placement(take, -rng.randrange(take.clip.length - span)),))
    placements = []
    at = rng.randrange(-take.clip.length // 2, span - take.clip.length // 2)
    at -= rng.choice((0, span))  # begin before the window as often as in it
    again = rng.random() < 0.7
    while at < span:
        if at + take.clip.length > 0:
            placements.append(Placement(take, at, rng.uniform(0.4, 1)))
        at += take.clip.length + round(SAMPLE_RATE * rng.choice(PAUSES_S) * rng.random())
        take = take if again else rng.choice(takes)
    return Track(span, tuple(placements))
