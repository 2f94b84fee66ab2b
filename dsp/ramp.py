"""A gain that moves to its new value in a straight line instead of a jump."""

import numpy as np
import numpy.typing as npt


class Ramp:
    """Values that glide to a target over a fixed number of samples.

    Shape: process n -> (values, n), or (values, 1) at rest: one value stands for all n.
    """

    def __init__(self, values: tuple[float, ...], length: int) -> None:
        self.length = max(1, length)
        self._target = np.array(values, np.float64)
        self._resting = self._target[:, None].astype(np.float32)
        self.reset()

    def reset(self) -> None:
        """Be at the target."""
        self._left = 0
        self._slope = np.zeros_like(self._target)

    def aim(self, values: tuple[float, ...]) -> None:
        """Glide to `values` from wherever the values are now."""
        now = self._target - self._slope * self._left
        self._target = np.array(values, np.float64)
        self._resting = self._target[:, None].astype(np.float32)
        self._slope = (self._target - now) / self.length
        self._left = self.length

    def process(self, n: int) -> npt.NDArray[np.float32]:
        """Return the next n values."""
        if self._left == 0:
            return self._resting
        left = np.maximum(self._left - np.arange(1, n + 1), 0)
        self._left = max(self._left - n, 0)
        line = self._target[:, None] - self._slope[:, None] * left
        return line.astype(np.float32)
