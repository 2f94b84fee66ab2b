"""Which samples can be worked with: NaN, infinity and absurd numbers would stay in every filter for good."""

import numpy as np
import numpy.typing as npt

from soundlasso.dsp.errors import AudioError

LOUDEST = 1e12
"""240 dB over full scale: far over 32-bit integers taken for floats, and squares of it still fit float32."""


def is_usable(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Tell of each sample whether it is a number within `LOUDEST`.  Shape: any -> the same."""
    usable: npt.NDArray[np.bool_] = np.abs(samples) <= LOUDEST  # false for NaN
    return usable


def first_unusable(samples: npt.NDArray[np.floating]) -> tuple[int, int] | None:
    """Return (channel, sample) of the earliest sample that cannot be worked with, or None.

    Shape: (channels, n).
    """
    # Energy is within bounds only if every sample is; vdot needs no second array and never warns.
    if all([np.vdot(row, row) <= LOUDEST**2 for row in samples]):
        return None
    usable = is_usable(samples)
    if usable.all():
        return None
    sample = int(np.argmin(usable.all(axis=0)))
    return int(np.argmin(usable[:, sample])), sample


def check_samples(block: npt.NDArray[np.floating], first_sample: int = 0) -> None:
    """Raise AudioError that names the first sample that is NaN, infinite or beyond `LOUDEST`.

    Shape: (channels, n); `first_sample` is the position of the block in its signal.
    """
    place = first_unusable(block)
    if place is None:
        return
    channel, sample = place
    raise AudioError(
        f"the audio is {block[place]!s} at channel {channel}, sample {first_sample + sample}; "
        f"samples must be numbers within ±{LOUDEST:.0e}"
    )
