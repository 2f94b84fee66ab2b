"""A network's rate inside, the host's rate outside, n samples out for n samples in."""

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from soundlasso.dsp.resample import StreamResampler

Audio = npt.NDArray[np.float32]


class HostRate:
    """The two resamplers around a network, whose number of stems may change while they run.

    `inward` turns the host's samples into the network's; `outward` turns the network's stems, as many
    samples as it was given, into as many of the host's as went in.

    Attributes
    ----------
    latency_samples : int
        Of the way in and out together, at the host's rate.
    """

    def __init__(self, host_rate: float, network_rate: int, channels: int) -> None:
        self._host_rate, self._network_rate, self._channels = host_rate, network_rate, channels
        self._ratio = Fraction(host_rate) / network_rate
        self._inward = StreamResampler(host_rate, network_rate, channels)
        self._outward: list[StreamResampler] = []
        outward = self._new_outward().latency_samples
        # What floor() keeps back at the network's rate may be missing at the host's.
        self._slack = 0 if self._ratio == 1 else math.ceil(self._ratio) + 1
        self.latency_samples = math.ceil(self._inward.latency_samples * self._ratio) + outward + self._slack
        self.reset()

    def reset(self) -> None:
        """Start again from silence."""
        self._inward.reset()
        for resampler in self._outward:
            resampler.reset()
        self._taken = self._given = 0
        self._ready = np.zeros((len(self._outward), self._channels, self._slack), np.float32)

    def whole(self, network_samples: int) -> int:
        """Return the least number of the network's samples, from this on, that lasts whole host samples."""
        unit = self._ratio.denominator if self._ratio.denominator <= self._network_rate else 1
        return math.ceil(network_samples / unit) * unit

    def host_samples(self, network_samples: int) -> int:
        """Return how many host samples last as long."""
        return math.ceil(network_samples * self._ratio)

    def resize(self, stems: int) -> None:
        """Keep the first `stems` stems; new ones start as if they had always been silent."""
        self._outward = self._outward[:stems]
        while len(self._outward) < stems:
            resampler = self._new_outward()
            resampler.process(np.zeros((self._channels, self._given % self._ratio.denominator), np.float32))
            self._outward.append(resampler)
        new = np.zeros((max(0, stems - len(self._ready)), *self._ready.shape[1:]), np.float32)
        self._ready = np.concatenate([self._ready[:stems], new])

    def inward(self, block: Audio) -> Audio:
        """Shape: (channels, n) -> (channels, m)."""
        self._taken += block.shape[1]
        return self._inward.process(block)

    def outward(self, stems: Audio) -> Audio:
        """Shape: (stems, channels, m) -> (stems, channels, n)."""
        self._given += stems.shape[-1]
        fresh = [resampler.process(stem) for resampler, stem in zip(self._outward, stems, strict=True)]
        ready = np.concatenate([self._ready, np.stack(fresh)], axis=-1) if fresh else self._ready
        n, self._taken = self._taken, 0
        self._ready = ready[..., n:]
        return ready[..., :n]

    def _new_outward(self) -> StreamResampler:
        return StreamResampler(self._network_rate, self._host_rate, self._channels)
