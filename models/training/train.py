"""Train lariat from shards on a CPU, or on one GPU that makes its own mixtures.

`python -m soundlasso.models.training.train NAME` goes on where the run NAME stopped.  Its folder in the
cache holds the whole state (`state.pt`), the averaged weights (`newest-HASH.safetensors`) and the
learning curve (`curve.csv`).  A file named `pause` in it makes it wait; SIGTERM makes it save and end.
"""

import argparse
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from torch import Tensor

from soundlasso.models.lariat import Lariat, LariatConfig
from soundlasso.models.training.augment import recolour
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.course import Course, open_course, save_average
from soundlasso.models.training.device import DeviceMixer
from soundlasso.models.training.examples import Example
from soundlasso.models.training.loss import PRESENCE_WEIGHT, gain_loss, likeness, presence_loss
from soundlasso.models.training.mix import read_shard, shard_paths
from soundlasso.models.training.options import cache_option, short_option
from soundlasso.models.training.queries import Asker, Batch, Words, make_batch
from soundlasso.models.training.storage import Cache

POOL_SHARDS = 12
STEPS_PER_SHARD = 40
"""Steps after which the pool's oldest shard makes room for another one."""
VALIDATION_EXAMPLES = 192

Batches = Callable[[], Batch]


class Pool:
    """Some shards in memory, replaced one by one; batches are drawn from all of them."""

    def __init__(self, cache: Cache, split: str, asker: Asker, seed: int) -> None:
        self._cache, self._split, self._asker = cache, split, asker
        self._rng = random.Random(seed)
        self._shards: list[Example] = []
        self._drawn = 0

    def draw(self, n_examples: int, n_frames: int) -> Batch:
        """Draw a batch of examples, each from any shard of the pool."""
        if self._drawn % STEPS_PER_SHARD == 0 or len(self._shards) < POOL_SHARDS:
            self._refresh()
        self._drawn += 1
        return self.batch([self._example() for _ in range(n_examples)], n_frames)

    def batch(self, examples: list[Example], n_frames: int) -> Batch:
        """Make a batch of what was drawn."""
        return make_batch(examples, self._asker, self._rng, n_frames)

    def _example(self) -> Example:
        shard = self._rng.choice(self._shards)
        i = self.pick(shard.sounds)
        return Example(*(field[i] for field in shard))

    def pick(self, sounds: np.ndarray) -> int:
        """Choose an example of a shard by the classes in it.  Shape: (examples, S)."""
        return self._rng.randrange(len(sounds))

    def _refresh(self) -> None:
        path = self._rng.choice(self._paths())
        try:
            shard = read_shard(path)
        except FileNotFoundError:  # replaced by a fresh one since it was listed
            shard = read_shard(self._paths()[-1])
        self._shards = [*self._shards[-POOL_SHARDS + 1 :], shard]

    def _paths(self) -> list[Path]:
        paths = shard_paths(self._cache, self._split)
        if not paths:
            raise FileNotFoundError(f"no {self._split} shards in {str(self._cache.root)!r}; run the mix step")
        return paths


def fixed_batches(
    shard: Example, asker: Asker, n_examples: int = VALIDATION_EXAMPLES, size: int = 8
) -> list[Batch]:
    """Draw the same batches from a shard every time, to measure by."""
    rng = random.Random(0)
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    examples = [Example(*(field[i] for field in shard)) for i in range(min(n_examples, len(shard.sounds)))]
    n_frames = shard.mixture.shape[1]
    batches = [
        make_batch(examples[i : i + size], asker, rng, n_frames) for i in range(0, len(examples), size)
    ]
    torch.set_rng_state(torch_state)
    return batches


@torch.no_grad()
def measure(network: Lariat, batches: list[Batch]) -> dict[str, float]:
    """Return the losses and, in the bands' domain (dB), what present targets gain and absent ones leak."""
    network.eval()
    losses, presences, gained, leaked, shaped = [], [], [], [], []
    for batch in batches:
        logits, presence = network(batch.features, batch.queries)
        gains = torch.sigmoid(logits)
        losses.append(gain_loss(gains, batch).item())
        presences.append(presence_loss(presence, batch).item() if presence is not None else 0.0)
        power = torch.pow(10, 2 * batch.features)[:, None]
        before = (power * (1 - batch.gains) ** 2).sum((2, 3)) + 1e-9
        after = (power * (gains - batch.gains) ** 2).sum((2, 3)) + 1e-9
        shared = (batch.asked > 0) & (before > 1e-4 * power.sum((2, 3)))  # alone there is nothing to gain
        gained.append((10 * torch.log10(before / after)).clamp(-20, 30)[shared])
        shaped.append((si_db(gains, batch) - si_db(torch.ones_like(gains), batch)).clamp(-20, 30)[shared])
        leak = (power * gains**2).sum((2, 3)) / power.sum((2, 3))
        leaked.append(10 * torch.log10(leak[batch.asked == 0] + 1e-9))
    decibels = {"gain_db": gained, "leak_db": leaked, "si_db": shaped}
    mean = {name: torch.cat(values).mean().item() for name, values in decibels.items()}
    return {"loss": sum(losses) / len(losses), "presence": sum(presences) / len(presences), **mean}


def si_db(gains: Tensor, batch: Batch) -> Tensor:
    """Return the SI-SDR of stems in the bands' domain, which counts silence as the worst, not as safe.

    Shape: (B, Q, T, F) -> (B, Q), in dB.
    """
    alike = likeness(gains, batch)
    return 10 * torch.log10((alike + 1e-6) / (1 - alike + 1e-6))


def step_loss(
    network: Lariat,
    batch: Batch,
    gain_loss: Callable[[Tensor, Batch], Tensor] = gain_loss,
    short: bool = False,
) -> Tensor:
    """Return what one step goes down; on a GPU, or if asked to, the network computes in 16 bits."""
    kind = batch.features.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=short or kind != "cpu"):
        logits, presence = network(batch.features, batch.queries)
    loss = gain_loss(torch.sigmoid(logits.float()), batch)
    return loss if presence is None else loss + PRESENCE_WEIGHT * presence_loss(presence.float(), batch)


class Clock:
    """Counts the seconds a run has learned, waits while it is paused, and ends when asked to."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self._pause, self._left_s = folder / "pause", minutes * 60
        self.ended = False
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.ended = True

    def steps(self, course: Course) -> Iterator[float]:
        """Yield the share of the time that is used up, once a step, until it is."""
        used_s = 0.0
        while used_s < self._left_s and not self.ended:
            while self._pause.exists() and not self.ended:
                time.sleep(1)
            began = time.monotonic()
            yield used_s / self._left_s
            took_s = time.monotonic() - began
            used_s, course.seconds = used_s + took_s, course.seconds + took_s


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="train", description=__doc__)
    cache_option(parser)
    parser.add_argument("name", help="name of the run")
    parser.add_argument(
        "--minutes", type=float, default=1e9, help="learn for so long (default: until stopped)"
    )
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights a new run begins from")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate (default: 0.002)")
    parser.add_argument(
        "--cool",
        action="store_true",
        help="let the rate fall to zero over --minutes; keeps the state as it was",
    )
    short_option(parser)
    parser.add_argument("--batch", type=int, default=10, help="examples a step (default: 10)")
    parser.add_argument("--frames", type=int, default=64, help="frames an example, at most 128 (default: 64)")
    parser.add_argument("--queries", type=int, default=5, help="queries an example (default: 5)")
    parser.add_argument(
        "--equaliser-db", type=float, default=4.0, metavar="DB",
        help="how far each mixture's colour is varied (default: 4)",
    )  # fmt: skip
    parser.add_argument(
        "--decay", type=float, default=0.999, help="of the weights' moving average (default: 0.999)"
    )
    parser.add_argument(
        "--every", type=float, default=10.0, metavar="MINUTES", help="between measurements (default: 10)"
    )
    parser.add_argument("--threads", type=int, default=2, help="of torch, and that draw plans (default: 2)")
    parser.add_argument(
        "--device", default="cpu", help="cpu reads shards; others make mixtures there (default: cpu)"
    )
    for field in fields(LariatConfig):
        if field.name not in ("channels", "presence"):
            name = field.name.replace("_", "-")
            parser.add_argument(
                f"--{name}", type=int, default=field.default, help=f"network (default: {field.default})"
            )
    parser.add_argument(
        "--channels", type=int, nargs="+", default=LariatConfig.channels, help="network, by level"
    )
    return parser.parse_args(arguments)


def config_of(options: argparse.Namespace) -> LariatConfig:
    """Return the network that was asked for; presence is always learned."""
    sizes = {
        f.name: getattr(options, f.name)
        for f in fields(LariatConfig)
        if f.name not in ("channels", "presence")
    }
    return LariatConfig(channels=tuple(options.channels), presence=True, **sizes)


def main(arguments: list[str] | None = None) -> None:
    """Learn until the time is over, measuring on the way."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    cache = Cache.open(options.cache)
    folder = cache.room("runs") / options.name
    course = open_course(
        folder, config_of(options), options.start, options.decay, options.device, options.short
    )
    torch.manual_seed(course.step)
    draws = from_shards if options.device == "cpu" else on_device
    run(course, *draws(cache, options, course.step), options)


def from_shards(
    cache: Cache, options: argparse.Namespace, seed: int
) -> tuple[Batches, list[Batch], list[Batch]]:
    """Return what draws a training batch from shards, and batches of held-out and of seen sources."""
    asker = Asker(Words(cache), Bank(cache, "train").sounds, options.queries)
    pool = Pool(cache, "train", asker, seed)
    held_out = fixed_batches(read_shard(shard_paths(cache, "valid")[0]), asker)
    seen = fixed_batches(read_shard(shard_paths(cache, "train")[0]), asker, VALIDATION_EXAMPLES // 2)
    return lambda: pool.draw(options.batch, options.frames), held_out, seen


def on_device(
    cache: Cache, options: argparse.Namespace, seed: int
) -> tuple[Batches, list[Batch], list[Batch]]:
    """Do the same with mixtures that the device makes."""
    words, bank = Words(cache), Bank(cache, "train")
    asker = Asker(words, bank.sounds, options.queries)
    valid = DeviceMixer(Bank(cache, "valid"), asker, options.device)
    mixer, rng = DeviceMixer(bank, asker, options.device), random.Random(seed)
    held_out, seen = (m.fixed(options.batch, options.frames, VALIDATION_EXAMPLES) for m in (valid, mixer))
    mixer.plan_ahead(options.batch, options.threads, seed)
    return lambda: mixer.draw(rng, options.frames), held_out, seen


def run(
    course: Course, draw: Batches, held_out: list[Batch], seen: list[Batch], options: argparse.Namespace
) -> None:
    """Learn from batches; measure every so often, keep the state, and keep it once more at the end."""
    clock = Clock(course.folder, options.minutes)
    if not course.step:
        report(course, held_out, seen, float("nan"))
    measured, losses = course.seconds, []
    for used in clock.steps(course):
        course.network.train()
        course.set_rate(options.rate * (1 - used) if options.cool else options.rate)
        batch = draw()
        features = recolour(batch.features, options.equaliser_db)
        loss = step_loss(course.network, batch._replace(features=features), short=options.short)
        course.learn(loss)
        losses.append(loss.item())
        if course.step % 50 == 0:
            recent = sum(losses[-50:]) / len(losses[-50:])
            print(f"step {course.step}  {course.seconds / 60:.1f} min  loss {recent:.4f}", flush=True)
        if course.seconds - measured > options.every * 60:
            measured = course.seconds
            report(course, held_out, seen, sum(losses[-400:]) / len(losses[-400:]))
            keep(course, options.cool)
    report(course, held_out, seen, sum(losses[-400:]) / max(1, len(losses[-400:])))
    keep(course, options.cool)


def keep(course: Course, cooled: bool) -> None:
    """Keep the state; a cooled run keeps its weights only, so that training can go on from before."""
    path = save_average(course.average.network, course.folder, "cooled") if cooled else course.save()
    print(f"kept {path.name}", flush=True)


def report(course: Course, held_out: list[Batch], seen: list[Batch], loss: float) -> None:
    """Measure the averaged network on held-out and on seen sources, and add it to the curve."""
    figures = {"training_loss": loss}
    for name, batches in (("valid", held_out), ("seen", seen)):
        figures |= {f"{name}_{k}": v for k, v in measure(course.average.network, batches).items()}
    course.note(figures)
    print(" ".join(f"{name} {value:.3f}" for name, value in figures.items()), flush=True)


if __name__ == "__main__":
    main()
