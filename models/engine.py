"""What stands behind a stream: a network that takes blocks of a mixture and gives stems, late."""

import dataclasses
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

Audio = npt.NDArray[np.float32]
LONGEST_S = 60.0  # of each part of a window: more than any network hears, and some gigabytes of maps


@dataclasses.dataclass(frozen=True)
class Profile:
    """How far a network with context may look: windows of past + hop + future, one every hop."""

    hop_s: float
    past_s: float
    future_s: float

    def __post_init__(self) -> None:
        """Check that the times make windows."""
        if not 0 < self.hop_s <= LONGEST_S:
            raise ValueError(
                f"hop_s must be more than 0 and at most {LONGEST_S:g} seconds, not {self.hop_s!r}"
            )
        for name in ("past_s", "future_s"):
            if not 0 <= getattr(self, name) <= LONGEST_S:
                raise ValueError(f"{name} must be 0 to {LONGEST_S:g} seconds, not {getattr(self, name)!r}")


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a stream wants of an engine.

    Shape: queries (Q, d) and avoid (A, d), unit vectors of the model's text encoder; gate_thresholds (Q,),
    the presence from 0 to 1 above which each gate opens, None for the usual one.
    """

    queries: Tensor
    avoid: Tensor
    gate: bool = True
    consistent: bool = False
    gate_thresholds: npt.NDArray[np.float64] | None = None


class Engine(Protocol):
    """A separation in progress, with all its state.

    Whatever the blocks, the stems are the same, `latency_samples` late, n samples for n samples.
    """

    latency_samples: int
    hop_samples: int

    @property
    def presence(self) -> npt.NDArray[np.float64]:
        """How surely each sound is there now.  Shape: (queries,), 0 to 1."""
        ...

    @property
    def frame_rate(self) -> float:
        """How often presence is found, in Hz."""
        ...

    def take_presence(self) -> npt.NDArray[np.float64]:
        """Return the presence at each frame since this was last called, one frame a period of the output.

        Kept over a reset, so that what a flush found can be asked for.  Shape: (queries, frames).
        """
        ...

    def ask(self, asked: Asked) -> None:
        """Give other stems from the next frame or window on, cross-faded."""
        ...

    def process(self, block: Audio) -> Audio:
        """Shape: (channels, n) -> (queries, channels, n)."""
        ...

    def reset(self) -> None:
        """Be as new, but remember what was asked."""
        ...
