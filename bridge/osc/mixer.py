"""The live mix: one stream for all slots, with gains that glide to where a client has moved them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from soundlasso.dsp.delay import Delay
from soundlasso.dsp.gate import USUAL_THRESHOLD
from soundlasso.dsp.ramp import Ramp
from soundlasso.models.separator import Separator, Stereo
from soundlasso.models.stream import SeparationStream

Audio = npt.NDArray[np.float32]
GLIDE_S = 0.02


@dataclass(frozen=True, slots=True)
class Voice:
    """What one slot asks for.

    Attributes
    ----------
    gain
        Factor of the stem; 0 for a slot that is muted, disabled or beside another's solo.
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


@dataclass(frozen=True, slots=True)
class Level:
    """How loud a slot was since the last look, before the mix control, and whether its sound is there."""

    slot: int
    rms: float
    peak: float
    presence: float


class LiveMixer:
    """Blocks of a mixture in, blocks of the mix of all slots out, `latency_samples` late.

    With ``mix`` at 0 the output is the input, delayed; at 1 it is the sum of the slots.

    Parameters
    ----------
    separator
        The model.
    sample_rate, channels
        Of the mixture.
    voices
        The slots to begin with, at least one.
    """

    def __init__(
        self,
        separator: Separator,
        sample_rate: float,
        channels: int,
        voices: Sequence[Voice],
        *,
        mix: float = 1.0,
        stereo: Stereo = "linked",
        gate: bool = True,
        consistent: bool = False,
        avoid: Sequence[str] = (),
    ) -> None:
        queries = [voice.query for voice in voices]
        self.stream = SeparationStream(
            separator,
            queries,
            sample_rate,
            channels,
            stereo=stereo,
            gate=gate,
            gate_threshold=[voice.threshold for voice in voices],
            consistent=consistent,
            avoid=avoid,
        )
        self.latency_samples = self.stream.latency_samples
        self._glide_samples = round(GLIDE_S * sample_rate)
        self._dry_line = Delay(channels, self.latency_samples)
        self._voices = {voice.slot: voice for voice in voices}
        self._gains = {voice.slot: self._ramp(_factors(voice)) for voice in voices}
        self._mix = self._ramp((mix,))
        self._energy = {voice.slot: _Energy() for voice in voices}

    def control(self, voices: Sequence[Voice], mix: float) -> None:
        """Glide to other gains, ask for other queries, add slots; a slot left out falls silent.

        Raises
        ------
        QueryError
            When a text cannot be a query; then nothing has changed.
        """
        wanted = {voice.slot: voice for voice in voices}
        gone = {
            slot: replace(voice, gain=0.0, is_removal=False)
            for slot, voice in self._voices.items()
            if slot not in wanted
        }
        # Slots keep their place among the stems, new ones come last, so that nothing jumps.
        ordered = {slot: wanted.get(slot) or gone[slot] for slot in self._voices} | wanted
        queries = tuple(voice.query for voice in ordered.values())
        if queries != self.stream.queries:
            self.stream.queries = queries
        thresholds = tuple(voice.threshold for voice in ordered.values())
        if thresholds != self.stream.gate_threshold:
            self.stream.gate_threshold = thresholds
        for slot, voice in ordered.items():
            self._gains.setdefault(slot, self._ramp((0.0, 0.0))).aim(_factors(voice))
            self._energy.setdefault(slot, _Energy())
        self._voices = ordered
        self._mix.aim((mix,))

    def process(self, block: Audio) -> Audio:
        """Take n samples, return n samples of the mix.  Shape: (channels, n) -> (channels, n)."""
        stems = self.stream.process(block)
        dry = self._dry_line.process(block)
        wet = np.zeros_like(block)
        for stem, slot in zip(stems, self._voices, strict=True):
            of_stem, of_dry = self._gains[slot].process(block.shape[1])
            part = of_stem * stem + of_dry * dry
            self._energy[slot].add(part)
            wet += part
        (mix,) = self._mix.process(block.shape[1])
        mixed: Audio = mix * wet + (1 - mix) * dry
        return mixed

    def levels(self) -> list[Level]:
        """Return the levels since the last call."""
        presence = self.stream.presence
        return [
            Level(slot, *self._energy[slot].take(), float(present))
            for slot, present in zip(self._voices, presence, strict=True)
        ]

    def _ramp(self, values: tuple[float, ...]) -> Ramp:
        return Ramp(values, self._glide_samples)


def mixer_of(
    separator: Separator, sample_rate: float, channels: int, controls: Mapping[str, Any]
) -> LiveMixer:
    """Make the mixer that controls ask for, as `soundlasso.bridge.osc.live.controls` gives them."""
    return LiveMixer(
        separator,
        sample_rate,
        channels,
        _voices(controls),
        mix=controls["mix"],
        stereo=controls["stereo"],
        gate=controls["gate"],
        consistent=controls["consistent"],
        avoid=controls["avoid"],
    )


def take_up(mixer: LiveMixer, controls: Mapping[str, Any]) -> None:
    """Have a mixer do what controls ask for; how it treats stereo stays.

    Raises
    ------
    QueryError
        When a text cannot be a query.
    """
    mixer.control(_voices(controls), controls["mix"])
    stream = mixer.stream
    if stream.gate != controls["gate"]:
        stream.gate = controls["gate"]
    if stream.consistent != controls["consistent"]:
        stream.consistent = controls["consistent"]
    if stream.avoid != tuple(controls["avoid"]):
        stream.avoid = controls["avoid"]


def _voices(controls: Mapping[str, Any]) -> list[Voice]:
    return [Voice(**voice) for voice in controls["voices"]]


class _Energy:
    """Mean square and peak of what has passed."""

    def __init__(self) -> None:
        self._squares, self._samples, self._peak = 0.0, 0, 0.0

    def add(self, part: Audio) -> None:
        self._squares += float(np.square(part, dtype=np.float64).sum())
        self._samples += part.size
        self._peak = max(self._peak, float(np.abs(part).max(initial=0.0)))

    def take(self) -> tuple[float, float]:
        """Return RMS and peak, and begin anew."""
        rms, peak = math.sqrt(self._squares / max(self._samples, 1)), self._peak
        self._squares, self._samples, self._peak = 0.0, 0, 0.0
        return rms, peak


def _factors(voice: Voice) -> tuple[float, float]:
    """Return how much of the stem and how much of the mixture a slot gives: keep g·s, remove g·(x - s)."""
    return (-voice.gain, voice.gain) if voice.is_removal else (voice.gain, 0.0)
