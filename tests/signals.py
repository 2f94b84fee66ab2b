"""Synthetic signals for tests: seeded, in full-scale floats."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]

RATES = (8000, 16000, 22050, 44100, 48000, 96000)


def noise(channels: int, length: int, seed: int = 0, level: float = 0.1) -> Audio:
    generator = np.random.default_rng(seed)
    return (level * generator.standard_normal((channels, length))).astype(np.float32)


def sine(frequency_hz: float, sample_rate: float, length: int, level: float = 0.5) -> Audio:
    return (level * np.sin(2 * np.pi * frequency_hz / sample_rate * np.arange(length)))[None].astype(
        np.float32
    )


def blocks(audio: Audio, size: int) -> Iterator[Audio]:
    for start in range(0, audio.shape[-1], size):
        yield audio[..., start : start + size]


def run(process: Callable[[Audio], Audio], flush: Callable[[], Audio], audio: Audio, size: int) -> Audio:
    """Send audio through a streaming object in blocks, and flush it."""
    return np.concatenate([*(process(block) for block in blocks(audio, size)), flush()], axis=-1)
