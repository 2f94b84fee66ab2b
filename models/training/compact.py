"""A bank small enough to send to another machine: chosen clips as Ogg Vorbis, about 23 MB an hour.

`python -m soundlasso.models.training.compact pack FOLDER` writes it from the cache; on the machine with
the accelerator, `... compact unpack FOLDER --cache CACHE` makes a cache of it that `train` reads.
"""

import argparse
import csv
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile

from soundlasso.models.training.bank import Bank, Take
from soundlasso.models.training.options import cache_option, progress
from soundlasso.models.training.queries import Words, words_path
from soundlasso.models.training.storage import CLIP_FIELDS, SAMPLE_RATE, Cache, Clip, write_shelf
from soundlasso.models.training.vocabulary import MUSICAL, SPEECH

COMPRESSION = 0.8  # of soundfile, 0 to 1: about 48 kbit a second
MB_PER_HOUR = 23.0
SHARES = {"pieces": 0.35, "solos": 0.2, "speech": 0.2, "effects": 0.25}
VALID_SHARE = 0.06
LONGEST_S = 16.0


def choose(bank: Bank, seconds: float, rng: random.Random) -> list[Take]:
    """Choose takes of about so many seconds: whole pieces, solos, voices and effects by their shares."""
    pieces = [take for piece in rng.sample(bank.pieces, len(bank.pieces)) for take in piece]
    loose: dict[str, list[list[Take]]] = defaultdict(list)
    for sound, sources in bank.by_sound.items():
        kind = "speech" if sound in SPEECH else "solos" if sound in MUSICAL else "effects"
        for takes in sources.values():
            loose[kind].append(rng.sample(takes, len(takes)))
    chosen = _until(pieces, seconds * SHARES["pieces"])
    for kind in ("solos", "speech", "effects"):
        chosen += _until(list(_in_turn(loose[kind])), seconds * SHARES[kind])
    return list({take.number: take for take in chosen}.values())


def _in_turn(sources: Sequence[list[Take]]) -> Iterator[Take]:
    """Yield one take of each source, then the second of each, and so on: variety first."""
    for i in range(max(map(len, sources), default=0)):
        yield from (takes[i] for takes in sources if i < len(takes))


def _until(takes: Sequence[Take], seconds: float) -> list[Take]:
    kept, used = [], 0.0
    for take in takes:
        if used >= seconds:
            break
        kept.append(take)
        used += min(LONGEST_S, take.clip.length / SAMPLE_RATE)
    return kept


def pack(cache: Cache, folder: Path, megabytes: float) -> float:
    """Write a compact bank and the captions' vectors; return its size in MB."""
    folder.mkdir(parents=True, exist_ok=True)
    Words(cache)
    shutil.copyfile(words_path(cache), folder / "words.npz")
    seconds = (megabytes - (folder / "words.npz").stat().st_size / 1e6) / MB_PER_HOUR * 3600
    for split, share in (("train", 1 - VALID_SHARE), ("valid", VALID_SHARE)):
        _write(folder / split, choose(Bank(cache, split), seconds * share, random.Random(0)))
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def _write(path: Path, takes: Sequence[Take]) -> None:
    longest = round(LONGEST_S * SAMPLE_RATE)
    ogg, start = path.with_suffix(".ogg"), 0
    form = {"format": "OGG", "subtype": "VORBIS", "compression_level": COMPRESSION}
    with (
        soundfile.SoundFile(ogg, "w", SAMPLE_RATE, 1, **form) as file,
        path.with_suffix(".csv").open("w", newline="") as table,
        progress(f"{path.name} clips", len(takes)) as advance,
    ):
        writer = csv.DictWriter(table, CLIP_FIELDS)
        writer.writeheader()
        for take in takes:
            audio = take.read(0, longest)
            for second in range(0, len(audio), SAMPLE_RATE):  # long writes overflow the encoder's stack
                file.write(audio[second : second + SAMPLE_RATE])
            writer.writerow(asdict(take.clip) | {"start": start, "length": len(audio)})
            start += len(audio)
            advance("")


def unpack(folder: Path, cache: Cache) -> None:
    """Make a cache of a compact bank; the reverse of `pack`."""
    for split in ("train", "valid"):
        audio, _ = soundfile.read(folder / f"{split}.ogg", dtype="float32")
        samples = np.asarray(np.clip(np.round(audio * 32767), -32768, 32767), np.int16)
        with (folder / f"{split}.csv").open(newline="") as table:
            rows = [(Clip.of(row), int(row["start"]), int(row["length"])) for row in csv.DictReader(table)]
        write_shelf(
            cache.room("recordings") / f"compact-{split}", [(c, samples[s : s + n]) for c, s, n in rows]
        )
    shutil.copyfile(folder / "words.npz", words_path(cache))


def main() -> None:
    """Pack or unpack."""
    parser = argparse.ArgumentParser(prog="compact", description=__doc__)
    cache_option(parser)
    parser.add_argument("what", choices=("pack", "unpack"))
    parser.add_argument("folder", type=Path, help="the compact bank")
    parser.add_argument("--megabytes", type=float, default=44.0, help="size to pack to (default: 44)")
    options = parser.parse_args()
    cache = Cache.open(options.cache)
    if options.what == "unpack":
        unpack(options.folder, cache)
    else:
        print(f"{pack(cache, options.folder, options.megabytes):.1f} MB in {options.folder}")


if __name__ == "__main__":
    main()
