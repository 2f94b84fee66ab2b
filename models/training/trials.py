"""Try one change at a time: each trial learns as long as the others, from chance and from the same shards.

`python -m soundlasso.models.training.trials` makes the trials that have no row yet in `runs/trials.csv` of
the cache, and prints the table; it may be stopped at any time.  Length is processor time of one thread, so
that a busy machine is fair to all.  All are measured on the same held-out mixtures, at 43 frames a second.
A phase residual is not tried, for shards hold magnitudes: `ceilings` tells what it could bring at most.
"""

import argparse
import csv
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
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
from soundlasso.models.training.examples import LENGTH, spectra, to_bands
from soundlasso.models.training.loss import gain_loss, heard, of_queries
from soundlasso.models.training.mix import read_shard, shard_paths
from soundlasso.models.training.optimisers import Average, make_optimisers
from soundlasso.models.training.options import cache_option, short_option
from soundlasso.models.training.queries import Asker, Batch, Words
from soundlasso.models.training.scenes import Chooser, training_scene
from soundlasso.models.training.storage import Cache
from soundlasso.models.training.train import VALIDATION_EXAMPLES, Pool, fixed_batches, measure, step_loss
from soundlasso.models.training.variants import HalfRate, Lookahead, Modulated

MADE = Path(__file__).with_name("trials.csv")
"""The trials that the network was chosen by, as they are kept with the code."""
N_EXAMPLES, N_FRAMES, RATE = 10, 64, 2e-3
MEASURED_QUERIES = 5
CEILING_SCENES = 100
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


def learn(trial: Trial, cache: Cache, minutes: float, pause: Path, short: bool = False) -> dict[str, float]:
    """Make one trial and return its figures."""
    torch.manual_seed(0)
    words, sounds = Words(cache), Bank(cache, "train").sounds
    pool = trial.pool(cache, "train", Asker(words, sounds, trial.n_queries), 0)
    network = trial.network(trial.config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    course = Course(cache.root, network, make_optimisers(network, short=short), Average(network))
    began, allowed_s = time.process_time(), 60 * minutes
    while (used_s := time.process_time() - began) < allowed_s:
        while pause.exists():
            time.sleep(1)
        course.network.train()
        course.set_rate(RATE * min(1.0, 4 * (1 - used_s / allowed_s)))  # the last quarter cools
        batch = pool.draw(N_EXAMPLES, N_FRAMES)
        course.learn(step_loss(course.network, batch, trial.loss, short))
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


def ceilings(cache: Cache) -> tuple[float, float]:
    """Return the SDR (dB) that the ideal gain of every band reaches, and the ideal complex one.

    The second is what a phase residual per band could bring at most.
    """
    bank, rng = Bank(cache, "valid"), random.Random(0)
    chooser = Chooser(bank, rng)
    reached: list[tuple[float, float]] = []
    while len(reached) < CEILING_SCENES:
        scene = training_scene(bank, chooser, rng, LENGTH)
        if len(scene) < 2:
            continue
        sources = spectra(np.stack([layer.render(LENGTH) for layer in scene]))
        sources /= np.sqrt(np.mean(np.abs(sources) ** 2, axis=(1, 2), keepdims=True)) + 1e-9
        reached.append(band_ceilings(sources[0], sources.sum(0)))
    real, turned = np.mean(reached, axis=0)
    return float(real), float(turned)


def band_ceilings(source: np.ndarray, mixture: np.ndarray) -> tuple[float, float]:
    """Return the same for one source.  Shape: (T, bins) complex each."""
    power = to_bands(np.abs(mixture) ** 2) + 1e-12
    wanted = to_bands(source * mixture.conj()) / power
    whole = np.sum(np.abs(source) ** 2)
    reached = []
    for size in (wanted.real, np.abs(wanted)):
        gain = np.clip(size, 0, 1)
        reached.append(-10 * np.log10(1 + np.sum(power * gain * (gain - 2 * size)) / whole))
    return float(reached[0]), float(reached[1])


def rows(path: Path) -> list[dict[str, str]]:
    """Read the trials made so far."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def table(made: list[dict[str, str]]) -> str:
    """Return the trials as a Markdown table; what older ones were not measured by is left empty."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    return "\n".join(
        lines + ["| " + " | ".join(row.get(name, "") for name in COLUMNS) + " |" for row in made]
    )


def main(arguments: list[str] | None = None) -> None:
    """Make what trials are missing, some at once, then print all."""
    parser = argparse.ArgumentParser(prog="trials", description=__doc__)
    cache_option(parser)
    parser.add_argument("--minutes", type=float, default=20.0, help="of processor time each (default: 20)")
    short_option(parser)
    parser.add_argument(
        "--ceilings", action="store_true", help="also print what a phase residual could bring"
    )
    parser.add_argument("--jobs", type=int, default=1, help="trials at once, a thread each (default: 1)")
    options = parser.parse_args(arguments)
    cache = Cache.open(options.cache)
    path = cache.room("runs") / "trials.csv"
    made = {row["trial"]: row for row in rows(path)}
    learning = (options.minutes, cache.room("runs") / "pause", options.short)
    with ProcessPoolExecutor(options.jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        todo = {
            pool.submit(learn, trial, cache, *learning): name
            for name, trial in TRIALS.items()
            if name not in made
        }
        for future in as_completed(todo):
            name, found = todo[future], future.result()
            made[name] = {"trial": name, **{key: f"{found[key]:.5g}" for key in COLUMNS[1:]}}
            keep(path, in_order(made))
            print(table([made[name]]).splitlines()[-1], flush=True)
    print(table(in_order(made)))
    if options.ceilings:
        print("ideal gain of every band: {:.1f} dB; with its ideal phase: {:.1f} dB".format(*ceilings(cache)))


def in_order(made: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows as `TRIALS` has them, whichever ended first."""
    return [made[name] for name in TRIALS if name in made]


def keep(path: Path, made: list[dict[str, str]]) -> None:
    """Write the trials, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(made)


if __name__ == "__main__":
    main()
