"""A running level: loud at once, quiet slowly, and never anything from the future."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RELEASE_DB_PER_S = 10.0
FLOOR_DB = -75.0


class RunningLevel:
    """Follow the level of frames: it rises with a louder frame at once and falls by 10 dB a second.

    In decibels the fall is a straight line, so the whole recurrence

        level[t] = max(power_db[t], level[t-1] - fall)

    is one running maximum of power_db[t] + t * fall.

    Shape: process (batch, T) powers -> (batch, T) levels in dB, at least `FLOOR_DB`.
    """

    def __init__(self, frame_rate: float) -> None:
        self.fall_db = RELEASE_DB_PER_S / frame_rate
        self.reset()

    def reset(self) -> None:
        """Start again from the floor."""
        self._last_db: Floats | None = None

    def process(self, power: npt.ArrayLike) -> Floats:
        """Take the mean power of each frame; return the level of each, in dB."""
        line: Floats = np.maximum(10 * np.log10(np.asarray(power, np.float64) + 1e-20), FLOOR_DB)
        if line.shape[-1] == 0:
            return line
        fallen = self.fall_db * np.arange(line.shape[-1])
        line += fallen
        if self._last_db is not None:
            line[..., 0] = np.maximum(line[..., 0], self._last_db - self.fall_db)
        level_db: Floats = np.maximum(np.maximum.accumulate(line, -1) - fallen, FLOOR_DB)
        self._last_db = level_db[..., -1]
        return level_db
