"""A voice: what one slot asks of the live mix, and the stem of the stream in which it is heard."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from soundlasso.dsp.gate import USUAL_THRESHOLD
from soundlasso.dsp.ramp import Ramp

Audio = npt.NDArray[np.float32]
NOBODY = 0  # slots count from 1


@dataclass(frozen=True, slots=True)
class Voice:
    """What one slot asks for.

    Attributes
    ----------
    gain
        Factor of the stem; 0 for a slot that is muted or beside another's solo.
    is_removal
        Everything but the sound, instead of the sound.
    threshold
        The presence above which the slot's gate opens.
    """

    slot: int
    query: str
    gain: float
    is_removal: bool = False
    threshold: float = USUAL_THRESHOLD

    @property
    def factors(self) -> tuple[float, float]:
        """How much of the stem and how much of the mixture it gives: keep g·s, remove g·(x - s)."""
        return (-self.gain, self.gain) if self.is_removal else (self.gain, 0.0)


class Energy:
    """Mean square and peak of what has passed."""

    def __init__(self) -> None:
        self._squares, self._samples, self._peak = 0.0, 0, 0.0

    def add(self, part: Audio) -> None:
        """Take what passes."""
        self._squares += float(np.square(part, dtype=np.float64).sum())
        self._samples += part.size
        self._peak = max(self._peak, float(np.abs(part).max(initial=0.0)))

    def take(self) -> tuple[float, float]:
        """Return RMS and peak, and begin anew."""
        rms, peak = math.sqrt(self._squares / max(self._samples, 1)), self._peak
        self._squares, self._samples, self._peak = 0.0, 0, 0.0
        return rms, peak


@dataclass(slots=True)
class Place:
    """One stem of the stream, and the voice in it.

    Attributes
    ----------
    gains
        Of the stem and of the mixture, gliding.
    state
        ``"heard"``; ``"coming"``: not heard yet, as the voice is still heard in another place;
        ``"gone"``: falling silent, or silent.
    steady_samples
        For how long a place that has gone is silent, or one that is coming gives what the other gives.
    """

    voice: Voice
    gains: Ramp
    state: Literal["heard", "coming", "gone"] = "heard"
    steady_samples: int = 0
    energy: Energy = field(default_factory=Energy)

    def play(self, stem: Audio, dry: Audio) -> Audio:
        """Return what is heard of a block.  Shape: (channels, n), (channels, n) -> (channels, n)."""
        of_stem, of_dry = self.gains.process(stem.shape[1])
        part: Audio = of_stem * stem + of_dry * dry
        self.energy.add(part)
        if self.state == "gone":
            self.count(stem.shape[1], not (of_stem.any() or of_dry.any()))
        return part

    def count(self, samples: int, is_steady: bool) -> None:
        """Note some more samples for which it is as it is to stay, or that it is not."""
        self.steady_samples = self.steady_samples + samples if is_steady else 0

    def take_up(self, voice: Voice | None) -> None:
        """Give what the slot asks for now, or, without it, fall silent."""
        if voice is None:
            return self.leave()
        self.voice = voice
        if self.state == "gone":
            self.state = "heard"
        if self.state == "heard":
            self.gains.aim(voice.factors)

    def leave(self) -> None:
        """Fall silent; a slot that comes back finds its place, if it was heard there."""
        if self.state == "gone":
            return
        if self.state == "coming":
            self.voice = replace(self.voice, slot=NOBODY)
        self.state, self.steady_samples = "gone", 0
        self.gains.aim((0.0, 0.0))

    def take_over(self, other: "Place") -> None:
        """Be heard from now on, instead of another place."""
        self.state, self.energy = "heard", other.energy
        self.gains.aim(self.voice.factors)
        other.energy = Energy()
        other.voice = replace(other.voice, slot=NOBODY)
        other.leave()
