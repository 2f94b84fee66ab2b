"""Streaming resampling on soxr, with a latency that is known exactly.

soxr places output sample k at time k / out_rate, whatever the chunks; only when it comes out
depends on soxr's inner blocks.  `StreamResampler` holds the output back by a fixed amount, just
more than the longest wait, so that after n samples in exactly floor(n * out_rate / in_rate) have
come out, and the delay is the same for any chunking.
"""

import functools
import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import soxr

Audio = npt.NDArray[np.float32]

_PROBE_CHUNK = 7
_PROBE_SAMPLES = 28_000


class StreamResampler:
    """Resample a stream, `latency_samples` late at the output rate.

    The latency is a whole number of samples at both rates when both are integers, so that a
    round trip is late by whole samples too.

    Shape: process (channels, n) -> (channels, m), m such that floor(total_in * out / in) are out.
    """

    def __init__(self, in_rate: float, out_rate: float, channels: int, quality: str = "HQ") -> None:
        for name, rate in (("in_rate", in_rate), ("out_rate", out_rate)):
            if not (math.isfinite(rate) and rate > 0):
                raise ValueError(f"{name} must be a positive number of samples per second, not {rate!r}")
        self.in_rate, self.out_rate, self.channels, self.quality = in_rate, out_rate, channels, quality
        self._ratio = Fraction(out_rate) / Fraction(in_rate)
        self.latency_samples = latency_samples(in_rate, out_rate, quality)
        self.reset()

    def reset(self) -> None:
        """Start again from silence."""
        self._soxr = soxr.ResampleStream(self.in_rate, self.out_rate, self.channels, "float32", self.quality)
        self._held = np.zeros((self.channels, self.latency_samples), np.float32)
        self._taken = self._given = 0

    def process(self, block: Audio) -> Audio:
        """Take n samples; return those that are due."""
        if self.in_rate == self.out_rate:
            return np.array(block, np.float32)
        self._taken += block.shape[1]
        self._hold(block, last=False)
        return self._give(math.floor(self._taken * self._ratio) - self._given)

    def flush(self) -> Audio:
        """Return all that is left; the stream is as new after it."""
        if self.in_rate == self.out_rate:
            return np.zeros((self.channels, 0), np.float32)
        if self._taken:
            self._hold(np.zeros((self.channels, 0), np.float32), last=True)
        rest = self._give(self._held.shape[1])
        self.reset()
        return rest

    def _hold(self, block: Audio, last: bool) -> None:
        fresh = self._soxr.resample_chunk(np.ascontiguousarray(block.T, np.float32), last=last)
        self._held = np.concatenate([self._held, fresh.reshape(-1, self.channels).T], axis=1)

    def _give(self, n: int) -> Audio:
        out, self._held = self._held[:, :n], self._held[:, n:]
        self._given += n
        return np.ascontiguousarray(out)


@functools.cache
def latency_samples(in_rate: float, out_rate: float, quality: str = "HQ") -> int:
    """Return the latency of a `StreamResampler`, in samples at `out_rate`.

    soxr's longest wait is measured on silence in small chunks; what can lie between two chunks is
    added, and the sum rounded up to whole samples at the input rate as well.
    """
    if in_rate == out_rate:
        return 0
    ratio = out_rate / in_rate
    stream = soxr.ResampleStream(in_rate, out_rate, 1, "float32", quality)
    chunk = np.zeros((_PROBE_CHUNK, 1), np.float32)
    taken = given = 0
    wait = 0.0
    while taken < _PROBE_SAMPLES * max(1.0, 1 / ratio):
        taken += _PROBE_CHUNK
        given += len(stream.resample_chunk(chunk))
        wait = max(wait, taken * ratio - given)
    needed = math.ceil(wait + _PROBE_CHUNK * ratio) + 1
    exact = Fraction(out_rate) / Fraction(in_rate)
    return math.ceil(needed / exact.numerator) * exact.numerator if exact.numerator <= out_rate else needed
