"""Make examples in shards while training reads them: fill a folder, then keep replacing the oldest.

`python -m soundlasso.models.training.mix` needs the corpus and instruments steps.  Run it at a low
priority beside training; it may be stopped at any time and goes on where it stopped.
"""

import argparse
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from soundlasso.models.training.bank import Bank
from soundlasso.models.training.examples import Example, training_example
from soundlasso.models.training.options import cache_option, progress
from soundlasso.models.training.scenes import Chooser
from soundlasso.models.training.storage import Cache

SHARD_EXAMPLES = 256
VALID_SHARDS = 2


def write_shard(path: Path, examples: list[Example]) -> None:
    """Write a shard whole or not at all."""
    fields: dict[str, Any] = {
        name: np.stack([getattr(e, name) for e in examples]) for name in Example._fields
    }
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **fields)
    partial.replace(path)


def read_shard(path: Path) -> Example:
    """Read a shard: an example whose arrays have one more axis in front."""
    with np.load(path) as shard:
        return Example(*(shard[name] for name in Example._fields))


def shard_paths(cache: Cache, split: str) -> list[Path]:
    """Return a split's shards, the oldest first."""
    return sorted(cache.room(f"shards/{split}").glob("*.npz"))


def next_path(cache: Cache, split: str, first: int = 0) -> Path:
    """Return where the next shard goes; numbers only rise, from `first` on in an empty folder."""
    paths = shard_paths(cache, split)
    number = int(paths[-1].stem) + 1 if paths else first
    return cache.room(f"shards/{split}") / f"{number:08d}.npz"


def make_shard(cache: Cache, split: str, n_examples: int, first: int = 0) -> Path:
    """Make one shard; the same number gives the same examples from the same bank.

    The bank is opened anew, which is quick, so that material that has come since is used.
    """
    path, bank = next_path(cache, split, first), Bank(cache, split)
    rng = random.Random(f"{split} {path.stem}")
    chooser = Chooser(bank, rng)
    write_shard(path, [training_example(bank, chooser, rng) for _ in range(n_examples)])
    return path


def main() -> None:
    """Fill the validation shards, then the training shards, then replace the oldest for ever."""
    parser = argparse.ArgumentParser(prog="mix", description=__doc__)
    cache_option(parser)
    parser.add_argument(
        "--shards", type=int, default=120, help="training shards to keep, 60 MB each (default: 120)"
    )
    parser.add_argument(
        "--refresh-s", type=float, default=90.0, metavar="SECONDS",
        help="then replace the oldest shard this often; 0 stops when the folder is full (default: 90)",
    )  # fmt: skip
    parser.add_argument(
        "--first", type=int, default=0, metavar="NUMBER",
        help="of the first training shard in an empty folder; other numbers, other mixtures (default: 0)",
    )  # fmt: skip
    options = parser.parse_args()
    torch.set_num_threads(1)
    cache = Cache.open(options.cache)
    _fill(cache, "valid", VALID_SHARDS)
    _fill(cache, "train", options.shards, options.first)
    while options.refresh_s:
        began = time.monotonic()
        make_shard(cache, "train", SHARD_EXAMPLES)
        for path in shard_paths(cache, "train")[: -options.shards]:
            path.unlink()
        time.sleep(max(0.0, options.refresh_s - (time.monotonic() - began)))


def _fill(cache: Cache, split: str, count: int, first: int = 0) -> None:
    missing = max(0, count - len(shard_paths(cache, split)))
    with progress(f"{split} shards", missing) as advance:
        for _ in range(missing):
            make_shard(cache, split, SHARD_EXAMPLES, first)
            advance("")


if __name__ == "__main__":
    main()
