"""The live mix: one stream for all slots, with gains that glide to where a client has moved them.

The stems of a stream are numbered.  One taken out of the middle would move all after it up, and for the
length of a window each would play its neighbour's sound.  So the last slot moves into the place that is
free: it is in both for a while, and is heard in the new one when both have long given the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundlasso.bridge.osc.voice import NOBODY, Audio, Place, Voice
from soundlasso.dsp.delay import Delay
from soundlasso.dsp.ramp import Ramp
from soundlasso.models.separator import Separator, Stereo
from soundlasso.models.stream import SeparationStream

GLIDE_S = 0.02
SETTLE_S = 0.5  # longer than a gate takes to open: then a place is free, or two give the same
ALIKE = 1e-4  # the largest difference between two stems of one query, which are rounded differently


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
        self._settle_samples = max(self.latency_samples, round(SETTLE_S * sample_rate))
        self._dry_line = Delay(channels, self.latency_samples)
        self._places = [Place(voice, self._ramp(voice.factors)) for voice in voices]
        self._mix = self._ramp((mix,))

    def control(self, voices: Sequence[Voice], mix: float) -> None:
        """Glide to other gains, ask for other queries, add slots; a slot left out falls silent.

        Raises
        ------
        QueryError
            When a text cannot be a query; then nothing has changed.
        """
        self.stream.model.embed([voice.query for voice in voices])
        wanted = {voice.slot: voice for voice in voices}
        for place in self._places:
            place.take_up(wanted.get(place.voice.slot))
        placed = {place.voice.slot for place in self._places}
        for voice in voices:
            if voice.slot not in placed:
                self._places.append(Place(voice, self._ramp((0.0, 0.0))))
                self._places[-1].take_up(voice)
        self._ask()
        self._mix.aim((mix,))

    def process(self, block: Audio) -> Audio:
        """Take n samples, return n samples of the mix.  Shape: (channels, n) -> (channels, n)."""
        stems = self.stream.process(block)
        dry = self._dry_line.process(block)
        wet = np.zeros_like(block)
        for place, stem in zip(self._places, stems, strict=True):
            wet += place.play(stem, dry)
        self._tidy(stems)
        (mix,) = self._mix.process(block.shape[1])
        mixed: Audio = mix * wet + (1 - mix) * dry
        return mixed

    def levels(self) -> list[Level]:
        """Return the levels since the last call."""
        return [
            Level(place.voice.slot, *place.energy.take(), float(present))
            for place, present in zip(self._places, self.stream.presence, strict=True)
            if place.state != "coming" and place.voice.slot != NOBODY
        ]

    def _ask(self) -> None:
        """Ask the stream for the stems of all places."""
        queries = tuple(place.voice.query for place in self._places)
        if queries != self.stream.queries:
            self.stream.queries = queries
        thresholds = tuple(place.voice.threshold for place in self._places)
        if thresholds != self.stream.gate_threshold:
            self.stream.gate_threshold = thresholds

    def _tidy(self, stems: Audio) -> None:
        """Give up the last place if it is free; else let the slot in it move into one that is."""
        for number, place in enumerate(self._places):
            if place.state == "coming":
                return self._change_over(number, stems)
        last = self._places[-1]
        free = next((number for number, place in enumerate(self._places) if self._is_free(place)), None)
        if free is None or len(self._places) == 1:
            return
        if self._is_free(last):
            del self._places[-1]
        elif last.state == "heard":
            self._places[free] = Place(last.voice, self._ramp((0.0, 0.0)), "coming")
        self._ask()

    def _is_free(self, place: Place) -> bool:
        return place.state == "gone" and place.steady_samples >= self._settle_samples

    def _change_over(self, number: int, stems: Audio) -> None:
        """Let a slot be heard in its new place, once nobody can hear a difference."""
        coming = self._places[number]
        slots = [place.voice.slot if place is not coming else NOBODY for place in self._places]
        before = slots.index(coming.voice.slot)
        is_alike = np.allclose(stems[number], stems[before], rtol=0, atol=ALIKE)
        coming.count(stems.shape[-1], is_alike)
        if coming.steady_samples >= self._settle_samples:
            coming.take_over(self._places[before])

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
