"""Signals and effects that the tests of boards share."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from pedalboard._pedalboard import Pedalboard as NativeBoard

from soundlasso.bridge.effect import Effect

Audio = npt.NDArray[np.float32]

CUTS = {
    "one by one at first": [3, *[1] * 20, 3777],
    "a prime": [509],
    "pedalboard's default": [8192],
    "irregular": [100, 5000, 37, 8192, 2, 2048],
}


__all__ = ["CUTS", "Audio", "Late", "NativeBoard", "cut", "noise", "stream"]


def noise(channels: int = 2, samples: int = 22_127, seed: int = 0) -> Audio:
    return (0.2 * np.random.default_rng(seed).standard_normal((channels, samples))).astype(np.float32)


def cut(audio: Audio, lengths: list[int]) -> Iterator[Audio]:
    """Cut audio into blocks of these lengths, over and over."""
    start = turn = 0
    while start < audio.shape[1]:
        yield audio[:, start : start + lengths[turn % len(lengths)]]
        start += lengths[turn % len(lengths)]
        turn += 1


def stream(effect: Effect, audio: Audio, lengths: list[int], sample_rate: float = 44_100) -> Audio:
    """Process block by block with a final flush."""
    effect.reset()
    parts = [effect.process(block, sample_rate, reset=False) for block in cut(audio, lengths)]
    return np.concatenate([*parts, effect.flush()], axis=1)


class Late(Effect):
    """A separation-like effect: a function of the audio, any number of samples late."""

    def __init__(self, latency_samples: int, change: Callable[[Audio], Audio] = np.copy) -> None:
        self.latency_samples = latency_samples
        self.change = change

    def prepare(self, sample_rate: float, channels: int, max_block: int) -> None:
        self._held = np.zeros((channels, self.latency_samples), np.float32)

    def block(self, samples: Audio) -> Audio:
        joined = np.concatenate([self._held, self.change(samples)], axis=1)
        self._held = joined[:, samples.shape[1] :]
        return joined[:, : samples.shape[1]]

    def clear(self) -> None:
        self._held[:] = 0
