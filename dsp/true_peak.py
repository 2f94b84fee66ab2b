"""True peak: the highest point of the curve between the samples, as a converter would draw it.

Reference: Recommendation ITU-R BS.1770-4, annex 2, which oversamples at least four times. Eight times
leaves less than 0.2 dB unseen.
"""

import math

import numpy as np
import numpy.typing as npt
import soxr

from soundlasso.dsp.metrics import level_db

_OVERSAMPLING = 8


class TruePeakMeter:
    """The true peak of what is passed to `process`.

    Parameters
    ----------
    sample_rate
        In Hz.
    channels
        How many.
    """

    def __init__(self, sample_rate: float, channels: int) -> None:
        self._rates = (sample_rate, _OVERSAMPLING * sample_rate)
        self._channels = channels
        self.reset()

    def reset(self) -> None:
        """Forget all sound."""
        self._stream = soxr.ResampleStream(*self._rates, self._channels, "float32", "HQ")
        self._peak = 0.0
        self._finished = False

    def process(self, block: npt.NDArray[np.float32]) -> None:
        """Take in the next samples.  Shape: ``(channels, samples)``."""
        self._note(block)
        if block.shape[1]:
            self._note(self._stream.resample_chunk(np.ascontiguousarray(block.T)))

    def finish(self) -> float:
        """Take the sound as ended and return its true peak in dBTP; minus infinity for silence."""
        if not self._finished:
            self._note(self._stream.resample_chunk(np.zeros((0, self._channels), np.float32), last=True))
            self._finished = True
        return level_db(self._peak)

    def _note(self, samples: npt.NDArray[np.float32]) -> None:
        self._peak = max(self._peak, float(np.abs(samples).max(initial=0.0)))


def true_peak(audio: npt.NDArray[np.float32], sample_rate: float) -> float:
    """Measure the true peak of a whole recording, in dBTP.

    Parameters
    ----------
    audio
        Shape: ``(channels, samples)``.
    sample_rate
        In Hz.

    Returns
    -------
    float
        Minus infinity for silence.
    """
    if audio.shape[1] == 0:
        return -math.inf
    meter = TruePeakMeter(sample_rate, len(audio))
    meter.process(audio)
    return meter.finish()
