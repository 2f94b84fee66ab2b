"""A running level: loud at once, quiet slowly, and never anything from the future."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RELEASE_DB_PER_S = 10.0
FLOOR_DB = -75.0


class RunningLevel:
    """Follow the level of frames: it rises with a louder frame at once and falls by 10 dB a second.

    Shape: process (batch, T) powers -> (batch, T) powers, at least that of `FLOOR_DB`.
    """

    def __init__(self, frame_rate: float) -> None:
        self._decay = 10 ** (-RELEASE_DB_PER_S / frame_rate / 10)
        self.reset()

    def reset(self) -> None:
        """Start again from the floor."""
        self._last: Floats | float = 10 ** (FLOOR_DB / 10)

    def process(self, power: npt.ArrayLike) -> Floats:
        """Take the mean power of each frame; return the level of each."""
        levels = np.maximum(np.asarray(power, np.float64), 10 ** (FLOOR_DB / 10))
        for level in levels.T:
            self._last = np.maximum(level, self._last * self._decay, out=level)
        return levels
