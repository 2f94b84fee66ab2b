"""Make effects by formula, for classes of which the packages hold seconds only.

`python -m soundlasso.models.training.synthetic` puts a shelf of each beside the recordings, babble and
choruses of the recorded voices for crowds, and the same voices singing.  Training alone uses them: what is
tested is recorded.
"""

import argparse
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np

from soundlasso.models.training.bank import SYNTHETIC, Bank
from soundlasso.models.training.blocks import Rng, Wave, clean, samples
from soundlasso.models.training.options import cache_option, progress
from soundlasso.models.training.singing import melody, sing
from soundlasso.models.training.storage import SAMPLE_RATE, Cache, Clip, has_shelf, to_int16, write_shelf
from soundlasso.models.training.synthetic_animals import ANIMALS
from soundlasso.models.training.synthetic_crowds import CROWDS
from soundlasso.models.training.synthetic_nature import NATURE
from soundlasso.models.training.synthetic_things import THINGS

MAKERS = NATURE | ANIMALS | THINGS
CLIPS = 100
SECONDS = (2.0, 7.0)
SINGERS = {"speech_male": (85.0, 160.0), "speech_female": (170.0, 300.0)}
"""Who sings, and where the lowest note of a tune lies, in Hz."""
SONGS = 160


def effect(sound: str, number: int) -> np.ndarray:
    """Make one clip of a class; the same number gives the same clip.  Shape: (samples,) float32."""
    rng = np.random.default_rng([zlib.crc32(sound.encode()), number])
    return clean(MAKERS[sound](rng, samples(rng.uniform(*SECONDS))))


def _effects(sound: str) -> Iterator[tuple[Clip, np.ndarray]]:
    for number in range(CLIPS):
        audio = to_int16(effect(sound, number))
        if audio is not None:
            yield Clip(0, 0, sound, SYNTHETIC, "train"), audio


def _crowds(sound: str, cache: Cache) -> Iterator[tuple[Clip, np.ndarray]]:
    bank, rng = Bank(cache, "train"), np.random.default_rng(zlib.crc32(sound.encode()))
    takes = [t for name in ("speech_male", "speech_female") for s in bank.by_sound[name].values() for t in s]
    long = [take for take in takes if take.clip.length > SAMPLE_RATE]
    for _ in range(CLIPS):
        chosen = [long[i].read(0, 6 * SAMPLE_RATE) for i in rng.integers(0, len(long), 40)]
        audio = to_int16(clean(CROWDS[sound](rng, samples(rng.uniform(*SECONDS)), chosen)))
        if audio is not None:
            yield Clip(0, 0, sound, SYNTHETIC, "train"), audio


def _songs(cache: Cache) -> Iterator[tuple[Clip, np.ndarray]]:
    bank, rng = Bank(cache, "train"), np.random.default_rng(zlib.crc32(b"singing"))
    for number in range(SONGS):
        voice = list(SINGERS)[number % len(SINGERS)]
        spoken = _spoken(bank, voice, rng, samples(rng.uniform(2, 5)))
        hz = melody(rng, round(len(spoken) * rng.uniform(1.2, 2.5)), rng.uniform(*SINGERS[voice]), 1.5)
        audio = to_int16(clean(sing(spoken, hz, rng)))
        if audio is not None:
            yield Clip(0, 0, "singing", SYNTHETIC, "train"), audio


def _spoken(bank: Bank, voice: str, rng: Rng, n: int) -> Wave:
    """Let one speaker say as much as fills n samples.  Shape: (n,)."""
    speakers = list(bank.by_sound[voice].values())
    takes = speakers[rng.integers(len(speakers))]
    said = [takes[i].read(0, n) for i in rng.permutation(len(takes))[:20]]
    return np.resize(np.concatenate(said), n).astype(np.float64)


def make(sound: str, cache: Cache) -> int:
    """Put one class on its shelf; return the clips kept."""
    shelf = cache.room("recordings") / f"synthetic-{sound}"
    if has_shelf(shelf):
        return 0
    if sound == "singing":
        return write_shelf(shelf, _songs(cache))
    return write_shelf(shelf, _crowds(sound, cache) if sound in CROWDS else _effects(sound))


def main() -> None:
    """Make every class, two at a time."""
    parser = argparse.ArgumentParser(prog="synthetic", description=__doc__)
    cache_option(parser)
    parser.add_argument("--jobs", type=int, default=2, help="classes at once (default: 2)")
    options = parser.parse_args()
    cache, todo = Cache.open(options.cache), (*MAKERS, *CROWDS, "singing")
    with ProcessPoolExecutor(options.jobs) as pool, progress("classes", len(todo)) as advance:
        for done in as_completed([pool.submit(make, sound, cache) for sound in todo]):
            done.result()
            advance("")


if __name__ == "__main__":
    main()
