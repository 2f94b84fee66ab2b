"""What a preset hears: streams that give its stems, each the sum of its queries, all late alike.

A sound to avoid competes with the one stem that names it, and the queries of one stem compete with each
other even where stems do not.  A stream has one list of rivals for all; so stems with other rivals get
a stream of their own.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from soundlasso.bridge.presets.preset import Preset, Stem
from soundlasso.dsp.errors import ModelError
from soundlasso.models.engine import Audio, Profile
from soundlasso.models.separator import Separator
from soundlasso.models.stream import SeparationStream


@dataclasses.dataclass(frozen=True)
class Hearing:
    """One stream to ask: its texts, and to which stem each of its rows adds."""

    queries: tuple[str, ...]
    avoid: tuple[str, ...]
    consistent: bool
    gate_thresholds: tuple[float, ...]  # of the queries
    rows: tuple[tuple[int, int], ...]  # (row of the stream, number of the stem)


def plan_hearings(preset: Preset) -> list[Hearing]:
    """Return as few streams as give every stem with its own rivals."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, stem in enumerate(preset.stems):
        alone = len(stem.queries) > 1 and not preset.consistent
        groups.setdefault((stem.avoid, number if alone else None), []).append(number)
    return [_hearing(preset, members) for members in groups.values()]


def _hearing(preset: Preset, members: Sequence[int]) -> Hearing:
    """Plan the stream of some stems; where all compete, it asks for the others too and leaves them."""
    stems = preset.stems
    asked = range(len(stems)) if preset.consistent else members
    texts = [(query, number) for number in asked for query in stems[number].queries]
    queries = tuple(query for query, _ in texts)
    avoid = tuple(text for text in stems[members[0]].avoid if text not in queries)
    rows = tuple((row, number) for row, (_, number) in enumerate(texts) if number in members)
    thresholds = tuple(stems[number].gate_threshold for _, number in texts)
    return Hearing(queries, avoid, preset.consistent or _has_sum(stems, members), thresholds, rows)


def _has_sum(stems: Sequence[Stem], members: Sequence[int]) -> bool:
    return any(len(stems[number].queries) > 1 for number in members)


class PresetStream:
    """The stems of a preset, block by block, as a `SeparationStream` gives them.

    Shape: process (channels, n) -> (stems, channels, n), `latency_samples` late; any n.
    """

    def __init__(self, preset: Preset, model: Separator, sample_rate: float, channels: int) -> None:
        self.sample_rate, self.channels = sample_rate, channels
        self._stems = len(preset.stems)
        self._hearings = plan_hearings(preset)
        profile = _profile(preset, model, sample_rate, channels)
        self._streams = [
            SeparationStream(
                model, hearing.queries, sample_rate, channels, stereo=preset.stereo, gate=preset.gate,
                gate_threshold=hearing.gate_thresholds, consistent=hearing.consistent, avoid=hearing.avoid,
                profile=profile,
            )
            for hearing in self._hearings
        ]  # fmt: skip
        self.latency_samples = self._streams[0].latency_samples

    def process(self, block: Audio) -> Audio:
        """Take n samples, return n samples of each stem."""
        return self._sum([stream.process(block) for stream in self._streams])

    def flush(self) -> Audio:
        """Return the last `latency_samples` of each stem; the stream is as new after it."""
        return self._sum([stream.flush() for stream in self._streams])

    def reset(self) -> None:
        """Be as new."""
        for stream in self._streams:
            stream.reset()

    @property
    def presence(self) -> npt.NDArray[np.float64]:
        """How surely each stem, by the surest of its queries, is there now.  Shape: (stems,), 0 to 1."""
        return self._surest([stream.presence for stream in self._streams])

    @property
    def frame_rate(self) -> float:
        """How often presence is found, in Hz."""
        return self._streams[0].frame_rate

    def take_presence(self) -> npt.NDArray[np.float64]:
        """Return the presence at each frame since this was last called.  Shape: (stems, frames)."""
        return self._surest([stream.take_presence() for stream in self._streams])

    def _surest(self, presences: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        found = np.zeros((self._stems, *presences[0].shape[1:]))
        for hearing, presence in zip(self._hearings, presences, strict=True):
            for row, number in hearing.rows:
                found[number] = np.maximum(found[number], presence[row])
        return found

    def _sum(self, heard: Sequence[Audio]) -> Audio:
        stems = np.zeros((self._stems, *heard[0].shape[1:]), np.float32)
        for hearing, rows in zip(self._hearings, heard, strict=True):
            for row, number in hearing.rows:
                stems[number] += rows[row]
        return stems


def _profile(preset: Preset, model: Separator, sample_rate: float, channels: int) -> Profile | None:
    """Return the live profile if it is wanted and the model looks ahead at all."""
    if preset.profile == "offline":
        return None
    from soundlasso.models.windowed import LIVE

    try:
        model.engine(sample_rate, channels, profile=LIVE)
    except ModelError:  # it works frame by frame, and is live as it is
        return None
    return LIVE
