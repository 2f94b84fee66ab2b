"""What happens to sounds on their way to a listener: rooms, equalisers, narrow bands, worn-out codecs."""

import random

import numpy as np
import torch
from scipy import fft, ndimage
from torch import Tensor
from torch.nn import functional

from soundlasso.models.training.storage import SAMPLE_RATE

N_KNOTS = 9
CUTOFFS_HZ = (3500, 4000, 4500, 5500, 7500, 9000, 11000, 15000)
BELOW_CUTOFF = 1e-3
"""Gain above a cutoff: 60 dB down, as a telephone or an old codec leaves it."""
HISS_FOLLOWS_SAMPLES = round(0.01 * SAMPLE_RATE)


def room(audio: np.ndarray, rng: random.Random) -> np.ndarray:
    """Put a sound into a room: noise that decays by 60 dB in 0.1 to 1 s, 3 to 26 dB below the direct sound.

    Shape: (length,) float32 -> the same.
    """
    decay_s = rng.uniform(0.1, 1.0)
    length = round(decay_s * SAMPLE_RATE)
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(length, np.float32)
    tail = noise * np.exp(np.linspace(0, -6.9, length, dtype=np.float32))
    tail *= np.float32(10 ** (rng.uniform(-26, -3) / 20) / np.sqrt(np.sum(tail**2)))
    tail[: min(length, round(rng.uniform(0, 0.02) * SAMPLE_RATE))] = 0  # the first reflection comes later
    size = fft.next_fast_len(len(audio) + length, real=True)
    wet = fft.irfft(fft.rfft(audio, size) * fft.rfft(tail, size), size)[: len(audio)]
    return np.asarray(audio + wet, np.float32)


def equaliser(n_bins: int, rng: random.Random, spread_db: float = 3.5) -> np.ndarray:
    """Return a smooth random gain per bin, its knots spaced by pitch.

    Shape: (n_bins,) float32.
    """
    place = np.log(np.arange(n_bins) + 8.0)
    knots = np.linspace(place[0], place[-1], N_KNOTS)
    gain_db = np.interp(place, knots, [rng.gauss(0, spread_db) for _ in range(N_KNOTS)])
    return np.asarray(10 ** (gain_db / 20), np.float32)


def band_limit(n_bins: int, rng: random.Random) -> np.ndarray:
    """Return the gain per bin of a low-pass as codecs and telephones have it.

    Shape: (n_bins,) float32.
    """
    bin_hz = SAMPLE_RATE / 2 / (n_bins - 1)
    heard = np.arange(n_bins) * bin_hz < rng.choice(CUTOFFS_HZ)
    return np.where(heard, np.float32(1), np.float32(BELOW_CUTOFF))


def hiss(audio: np.ndarray, rng: random.Random) -> np.ndarray:
    """Add the noise of few bits, 20 to 45 dB below a sound's mean level; half the time it follows the level.

    Linear samples of 8 bits have the same noise all along, companded and adaptive ones (mu-law, ADPCM) less
    of it where the sound is soft.

    Shape: (length,) float32 -> the same.
    """
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(len(audio), np.float32)
    power = np.square(audio)
    if rng.random() < 0.5:
        power = np.maximum(ndimage.uniform_filter1d(power, HISS_FOLLOWS_SAMPLES), 0)
    else:
        power = np.mean(power)
    return np.asarray(audio + np.float32(10 ** (rng.uniform(-45, -20) / 20)) * np.sqrt(power) * noise)


def recolour(features: Tensor, spread_db: float) -> Tensor:
    """Play whole mixtures through random smooth equalisers, a new one whenever an example is drawn again.

    Every source in a band changes alike, so the ideal gains stay what they are.

    Shape: (B, T, F) log10 magnitudes -> the same.
    """
    knots = spread_db / 20 * torch.randn(len(features), 1, N_KNOTS, device=features.device)
    return features + functional.interpolate(knots, features.shape[-1], mode="linear", align_corners=True)
