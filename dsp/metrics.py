"""How good a stem is, with AudioSep's definitions (Liu et al. 2023, evaluation code).

All are plain energy ratios in dB over the whole of both arrays: no alignment, no mean removed.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

_EPS = 1e-10


def sdr(reference: Array, estimate: Array) -> float:
    """Return the signal-to-distortion ratio in dB: mean(ref^2) / mean((est - ref)^2), each at least 1e-10.

    Shape: both alike, any.
    """
    reference, estimate = _alike(reference, estimate)
    signal = max(float(np.mean(reference**2)), _EPS)
    distortion = max(float(np.mean((estimate - reference) ** 2)), _EPS)
    return 10 * float(np.log10(signal / distortion))


def sdr_improvement(reference: Array, estimate: Array, mixture: Array) -> float:
    """Return SDRi in dB: how much nearer to the reference the estimate is than the mixture was."""
    return sdr(reference, estimate) - sdr(reference, mixture)


def si_sdr(reference: Array, estimate: Array) -> float:
    """Return the scale-invariant SDR in dB (Le Roux et al. 2019), absolute, eps of the reference's dtype.

    Shape: both alike, any.
    """
    eps = float(np.finfo(np.result_type(reference, np.float32)).eps)
    reference, estimate = _alike(reference, estimate)
    scale = (eps + float(np.sum(reference * estimate))) / (float(np.sum(reference**2)) + eps)
    target = scale * reference
    signal, distortion = float(np.sum(target**2)), float(np.sum((estimate - target) ** 2))
    return 10 * float(np.log10((eps + signal) / (eps + distortion)))


def si_sdr_improvement(reference: Array, estimate: Array, mixture: Array) -> float:
    """Return how much the SI-SDR of the estimate exceeds that of the mixture itself, in dB."""
    return si_sdr(reference, estimate) - si_sdr(reference, mixture)


def null_depth_db(mixture: Array, parts: Array) -> float:
    """Return how deep the sum of all parts nulls against the mixture: its largest error in dBFS.

    Shape: mixture (channels, samples), parts (parts, channels, samples).  -inf when they are equal.
    """
    error = np.abs(np.sum(parts, axis=0, dtype=np.float64) - mixture)
    return level_db(float(np.max(error, initial=0.0)))


def rms_db(signal: Array) -> float:
    """Return the RMS level in dBFS; -inf for silence or nothing."""
    if signal.size == 0:
        return -np.inf
    return level_db(float(np.sqrt(np.mean(np.asarray(signal, np.float64) ** 2))))


def peak_db(signal: Array) -> float:
    """Return the sample peak in dBFS; -inf for silence or nothing."""
    return level_db(float(np.max(np.abs(signal), initial=0.0)))


def level_db(amplitude: float) -> float:
    """Return an amplitude in dB of full scale; -inf for 0, NaN for NaN."""
    return -float("inf") if amplitude == 0 else 20 * float(np.log10(amplitude))


def _alike(reference: Array, estimate: Array) -> tuple[Array, Array]:
    if reference.shape != estimate.shape:
        raise ValueError(f"reference {reference.shape} and estimate {estimate.shape} must have one shape")
    return np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
