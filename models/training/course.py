"""The state of a training run: network, optimisers, average and steps, kept whole on disk."""

import csv
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from soundlasso.models.atomic import replacing
from soundlasso.models.checkpoint import load_safetensors, save_safetensors
from soundlasso.models.lariat import Lariat, LariatConfig
from soundlasso.models.training.optimisers import Average, make_optimisers
from soundlasso.models.training.widen import widen

WARM_UP_STEPS = 200


@dataclass
class Course:
    """Everything that changes while a network learns."""

    folder: Path
    network: Lariat
    optimisers: list[torch.optim.Optimizer]
    average: Average[Lariat]
    step: int = 0
    seconds: float = 0.0

    def set_rate(self, rate: float) -> None:
        """Give all optimisers one learning rate, less during the first steps."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, (self.step + 1) / WARM_UP_STEPS)

    def learn(self, loss: torch.Tensor) -> None:
        """Take one step down a loss."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        with one_thread():
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            for optimiser in self.optimisers:
                optimiser.step()
            self.average.update(self.network)
        self.step += 1

    def save(self) -> Path:
        """Keep the whole state, and the average as weights named by their hash; return the weights' path."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "averaged": self.average.steps,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "seconds": self.seconds,
        }
        with replacing(self.folder / "state.pt") as temporary:
            torch.save(state, temporary)
        return save_average(self.average.network, self.folder, "newest")

    def note(self, figures: Mapping[str, float]) -> None:
        """Add a row to the learning curve, `curve.csv`."""
        path = self.folder / "curve.csv"
        row = {"step": self.step, "minutes": round(self.seconds / 60, 1), "at": time.strftime("%F %T")}
        row |= {name: round(value, 4) for name, value in figures.items()}
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: many small products take twice as long on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def save_average(network: nn.Module, folder: Path, stem: str) -> Path:
    """Write a network's weights under `stem`, in place of those written before."""
    old = set(folder.glob(f"{stem}-????????.safetensors"))
    new = save_safetensors(network.state_dict(), folder, stem)
    for path in old - {new}:
        path.unlink()
    return new


def open_course(
    folder: Path,
    config: LariatConfig,
    start: Path | None,
    decay: float,
    device: str = "cpu",
    short: bool = False,
) -> Course:
    """Go on with the run in `folder`, or begin it: from the weights at `start` if given, else from chance.

    Weights of a smaller network are widened to the one that `config` shapes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "state.pt"
    network = Lariat(config)
    if start and not kept.exists():
        network.load_state_dict(widen(load_safetensors(start), config))
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    course = Course(folder, network, make_optimisers(network, short=short), Average(network, decay))
    if kept.exists():
        _restore(course, torch.load(kept, map_location=device, weights_only=True))
    return course


def _restore(course: Course, state: dict[str, object]) -> None:
    course.network.load_state_dict(state["network"])  # type: ignore[arg-type]
    course.average.network.load_state_dict(state["average"])  # type: ignore[arg-type]
    course.average.steps = int(state["averaged"])  # type: ignore[call-overload]
    for optimiser, kept in zip(course.optimisers, state["optimisers"], strict=True):  # type: ignore[call-overload]
        optimiser.load_state_dict(kept)
    course.step, course.seconds = int(state["step"]), float(state["seconds"])  # type: ignore[call-overload,arg-type]
