"""Try one change at a time: each trial learns as long as the others, from chance and from the same shards.

`python -m soundlasso.models.training.trials` makes the trials that have no row yet in `runs/trials.csv` of
the cache, and prints the table; it may be stopped at any time.  Length is processor time of one thread, so
that a busy machine is fair to all.  All are measured on the same held-out mixtures, at 43 frames a second.
`phase_trial` tries a phase residual, which needs shards with phases.
"""

import argparse
import csv
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundlasso.models.atomic import replacing
from soundlasso.models.lariat import Lariat, LariatConfig
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.course import Course
from soundlasso.models.training.loss import gain_loss, heard, of_queries
from soundlasso.models.training.mix import read_shard, shard_paths
from soundlasso.models.training.optimisers import Average, make_optimisers
from soundlasso.models.training.options import cache_option, short_option
from soundlasso.models.training.queries import Asker, Batch, Words
from soundlasso.models.training.storage import Cache
from soundlasso.models.training.train import VALIDATION_EXAMPLES, Pool, fixed_batches, measure, step_loss
from soundlasso.models.training.variants import HalfRate, Lookahead, Modulated

MADE = Path(__file__).with_name("trials.csv")
"""The trials that the network was chosen by, as they are kept with the code."""
N_EXAMPLES, N_FRAMES, RATE = 10, 64, 2e-3
MEASURED_QUERIES = 5
SMALLEST = 0.05
"""Share of the mixture under which a target's error no longer counts relative to the target."""
COLUMNS: Sequence[str] = (
    "trial",
    "steps",
    "valid_gain_db",
    "valid_si_db",
    "valid_leak_db",
    "valid_presence",
    "seen_gain_db",
)


class EvenPool(Pool):
    """Draws examples whose classes are seldom in their shard more often."""

    def pick(self, sounds: np.ndarray) -> int:
        """Choose an example by how seldom its classes are.  Shape: (examples, S)."""
        counts = Counter(sounds[sounds >= 0].tolist())
        rarity = [sum(1 / counts[sound] for sound in row[row >= 0].tolist()) for row in sounds]
        return self._rng.choices(range(len(sounds)), rarity)[0]


def relative_loss(gains: Tensor, batch: Batch) -> Tensor:
    """Return the square errors, each relative to its target's size, so that quiet ones count as loud ones."""
    error, losses = (gains - batch.gains) ** 2, torch.zeros_like(batch.asked)
    for power in (1, 2):
        size = torch.where(batch.asked > 0, heard(batch.gains**2, batch, power) + SMALLEST, 1)
        losses = losses + heard(error, batch, power) / size
    return of_queries(losses, batch)


def absolute_loss(gains: Tensor, batch: Batch) -> Tensor:
    """Return the square error where it is heard, whatever the size of the target: loud ones count most."""
    return of_queries(heard((gains - batch.gains) ** 2, batch, 1), batch)


AS_IT_IS = LariatConfig(channels=(16, 32, 48, 64), n_maps=24, bottom=128, n_scans=3, presence=True)
"""What the trials vary: the network before it grew, with the loss it had."""


@dataclass(frozen=True)
class Trial:
    """One change."""

    config: LariatConfig = AS_IT_IS
    network: type[Lariat] = Lariat
    loss: Callable[[Tensor, Batch], Tensor] = relative_loss
    pool: type[Pool] = Pool
    n_queries: int = 5


TRIALS = {
    "as it is": Trial(),
    "half the channels": Trial(replace(AS_IT_IS, channels=(8, 16, 24, 32))),
    "half as many channels again": Trial(replace(AS_IT_IS, channels=(24, 48, 72, 96))),
    "1 scan in place of 3": Trial(replace(AS_IT_IS, n_scans=1)),
    "6 scans": Trial(replace(AS_IT_IS, n_scans=6)),
    "loss in decibels": Trial(loss=partial(gain_loss, shape_weight=0)),
    "loss in decibels, and of the shape": Trial(loss=gain_loss),
    "loss not relative to the target": Trial(loss=absolute_loss),
    "21 frames a second in place of 43": Trial(network=HalfRate),
    "2 frames of lookahead": Trial(network=Lookahead),
    "queries at the bottom too": Trial(network=Modulated),
    "all classes as often": Trial(pool=EvenPool),
    "10 queries an example in place of 5": Trial(n_queries=10),
}


def learn(trial: Trial, pool: Pool, folder: Path, minutes: float, pause: Path, short: bool = False) -> Course:
    """Learn what a pool holds from chance, for minutes of processor time, and return where that led."""
    torch.manual_seed(0)
    network = trial.network(trial.config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    course = Course(folder, network, make_optimisers(network, short=short), Average(network))
    began, allowed_s = time.process_time(), 60 * minutes
    while (used_s := time.process_time() - began) < allowed_s:
        while pause.exists():
            time.sleep(1)
        course.network.train()
        course.set_rate(RATE * min(1.0, 4 * (1 - used_s / allowed_s)))  # the last quarter cools
        batch = pool.draw(N_EXAMPLES, N_FRAMES)
        course.learn(step_loss(course.network, batch, trial.loss, short))
    return course


def make(trial: Trial, cache: Cache, minutes: float, pause: Path, short: bool = False) -> dict[str, float]:
    """Make one trial and return its figures."""
    words, sounds = Words(cache), Bank(cache, "train").sounds
    pool = trial.pool(cache, "train", Asker(words, sounds, trial.n_queries), 0)
    course = learn(trial, pool, cache.root, minutes, pause, short)
    return {
        "steps": float(course.step),
        **figures(course.average.network, cache, Asker(words, sounds, MEASURED_QUERIES)),
    }


def figures(network: Lariat, cache: Cache, asker: Asker) -> dict[str, float]:
    """Measure a network on held-out and on seen sources."""
    found: dict[str, float] = {}
    for name, split, count in (
        ("valid", "valid", VALIDATION_EXAMPLES),
        ("seen", "train", VALIDATION_EXAMPLES // 2),
    ):
        batches = fixed_batches(read_shard(shard_paths(cache, split)[0]), asker, count)
        found |= {f"{name}_{key}": value for key, value in measure(network, batches).items()}
    return found


def rows(path: Path) -> list[dict[str, str]]:
    """Read the trials made so far."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def table(made: list[dict[str, str]], columns: Sequence[str] = COLUMNS) -> str:
    """Return the trials as a Markdown table; what older ones were not measured by is left empty."""
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join(
        lines + ["| " + " | ".join(row.get(name, "") for name in columns) + " |" for row in made]
    )


def make_missing(
    trials: Mapping[str, Callable[[], dict[str, float]]], path: Path, columns: Sequence[str], jobs: int
) -> list[dict[str, str]]:
    """Make the trials that have no row at `path` yet, some at once, and return the rows of all in order."""
    made = {row["trial"]: row for row in rows(path)}
    with ProcessPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        todo = {pool.submit(make): name for name, make in trials.items() if name not in made}
        for future in as_completed(todo):
            name, found = todo[future], future.result()
            made[name] = {"trial": name, **{key: f"{found[key]:.5g}" for key in columns[1:]}}
            keep(path, [made[each] for each in trials if each in made], columns)
            print(table([made[name]], columns).splitlines()[-1], flush=True)
    return [made[each] for each in trials if each in made]


def keep(path: Path, made: list[dict[str, str]], columns: Sequence[str]) -> None:
    """Write the trials, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(made)


def trial_options(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Return the options that all trials have."""
    parser = argparse.ArgumentParser(prog=name, description=doc)
    cache_option(parser)
    parser.add_argument("--minutes", type=float, default=20.0, help="of processor time each (default: 20)")
    short_option(parser)
    parser.add_argument("--jobs", type=int, default=1, help="trials at once, a thread each (default: 1)")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Make what trials are missing, then print all."""
    options = trial_options("trials", __doc__).parse_args(arguments)
    cache = Cache.open(options.cache)
    learning = (cache, options.minutes, cache.room("runs") / "pause", options.short)
    todo = {name: partial(make, trial, *learning) for name, trial in TRIALS.items()}
    print(table(make_missing(todo, cache.room("runs") / "trials.csv", COLUMNS, options.jobs)))


if __name__ == "__main__":
    main()
