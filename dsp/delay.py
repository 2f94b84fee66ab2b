"""A delay line: the dry signal, as late as the separated one."""

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]


class Delay:
    """Delay audio by a fixed number of samples, n in, n out.

    Shape: process (channels, n) -> (channels, n).
    """

    def __init__(self, channels: int, delay_samples: int) -> None:
        self.channels, self.delay_samples = channels, delay_samples
        self.reset()

    def reset(self) -> None:
        """Fill the line with silence."""
        self._held = np.zeros((self.channels, self.delay_samples), np.float32)

    def process(self, block: Audio) -> Audio:
        """Take n samples; return the n that came `delay_samples` earlier."""
        joined = np.concatenate([self._held, block], axis=1)
        n = block.shape[1]
        self._held = joined[:, n:]
        return joined[:, :n]
