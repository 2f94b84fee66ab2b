"""Which axis of an array is the channels: pedalboard's rules, memory included.

One axis is mono.  Of two axes the shorter one is the channels; once a channel count is known, an axis
of that length is.  Results go back in the layout of the input.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]


class Layout:
    """Read arrays as (channels, samples) and write results back, as pedalboard would.

    Parameters
    ----------
    channels
        How many there are, in arrays of (channels, samples); None where that is to be found out.
    """

    def __init__(self, channels: int | None = None) -> None:
        self._channels = channels
        self._channels_first = None if channels is None else True
        self._mono = False

    def read(self, array: npt.NDArray[Any]) -> Audio:
        """Return the audio as contiguous float32, (channels, samples).

        Raises
        ------
        TypeError
            Not an array of float32 or float64.
        RuntimeError
            No axis, more than two axes, or a square whose channels cannot be told.
        """
        if not isinstance(array, np.ndarray):
            raise TypeError(f"audio must be a numpy array of float32 or float64, not {type(array).__name__}")
        if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):  # in any byte order
            raise TypeError(f"audio is {array.dtype!s}; it must be float32 or float64")
        if array.ndim not in (1, 2):
            raise RuntimeError(f"audio has {array.ndim} axes; it must have 1 or 2")
        self._mono = array.ndim == 1
        self._channels_first = self._detect(array.shape)
        samples = array[None] if self._mono else array if self._channels_first else array.T
        self._channels = samples.shape[0] or self._channels
        if array.dtype == np.float32:
            return np.ascontiguousarray(samples)
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and that is refused by name later
            audio: Audio = np.ascontiguousarray(samples, np.float32)
        return audio

    def write(self, samples: Audio) -> Audio:
        """Return (channels, samples) audio in the layout that was read last."""
        if self._mono:
            mono: Audio = samples[0]
            return mono
        return samples if self._channels_first else np.ascontiguousarray(samples.T)

    def _detect(self, shape: tuple[int, ...]) -> bool:
        if len(shape) == 1:
            return True
        rows, columns = shape
        if rows == columns and (rows != 1 or self._channels_first is not None):
            return self._remembered(shape)
        if self._channels in shape:
            return rows == self._channels
        if 0 in shape:
            return columns == 0  # no channels makes no sense, no samples does
        return rows <= columns

    def _remembered(self, shape: tuple[int, ...]) -> bool:
        if self._channels_first is None:
            raise RuntimeError(
                f"cannot tell the channels of shape {shape!r}; process audio that is not square first"
            )
        return self._channels_first
