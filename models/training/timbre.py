"""What makes one voice, instrument or engine differ from the next of its kind: body, drive, dynamics.

Each class has few recordings.  These make others of them, so that a network learns what they share.
"""

import functools
import random

import numpy as np
from scipy import ndimage

from soundlasso.dsp.bands import N_BINS
from soundlasso.models.training.storage import SAMPLE_RATE

ENVELOPE_S = 0.03
MOST_DB = 12.0
"""How far a level is moved at most, so that no pause becomes a roar."""
BODY_QUEFRENCY_S = 0.0012
"""What is smoother than this in a spectrum is the body, what is finer is the pitch."""
COLOUR_OCTAVES = 0.5
"""What is finer than this is no colour, but pitch."""
TINY, FAINT = 1e-9, 1e-6
NARROWEST_HZ, WIDEST_HZ = 2000.0, 15000.0
"""Between these a spectrum that ends is one that a slow sample rate or a codec has cut."""


def another(audio: np.ndarray, rng: random.Random) -> np.ndarray:
    """Let a sound be driven, levelled or doubled, each now and then.

    Shape: (length,) float32 -> the same.
    """
    for change, how_often in ((drive, 0.15), (dynamics, 0.2), (company, 0.15)):
        if rng.random() < how_often:
            audio = change(audio, rng)
    return audio


def drive(audio: np.ndarray, rng: random.Random) -> np.ndarray:
    """Overdrive a sound, softly to heavily, as amplifiers and tape do: it gains harmonics.

    Shape: (length,) float32 -> the same.
    """
    loud = 3 * float(np.sqrt(np.mean(audio**2))) + TINY
    gain = 10 ** (rng.uniform(-6, 18) / 20)
    return np.asarray(np.tanh(audio * np.float32(gain / loud)) * np.float32(loud / gain), np.float32)


def dynamics(audio: np.ndarray, rng: random.Random) -> np.ndarray:
    """Make loud and quiet more alike, or less: a compressor, another touch, another decay.

    Shape: (length,) float32 -> the same.
    """
    power = ndimage.uniform_filter1d(audio**2, round(ENVELOPE_S * SAMPLE_RATE))
    level_db = 10 * np.log10(np.maximum(power, 0) + TINY) - 10 * np.log10(np.mean(power) + TINY)
    gain_db = np.clip(rng.uniform(-0.5, 0.5) * level_db, -MOST_DB, MOST_DB)
    return np.asarray(audio * 10 ** (gain_db / 20), np.float32)


def company(audio: np.ndarray, rng: random.Random) -> np.ndarray:
    """Lay a second sound beside the first, a few milliseconds late and never quite in tune: a chorus.

    Shape: (length,) float32 -> the same.
    """
    time = np.arange(len(audio), dtype=np.float32)
    sweep = np.sin(time * np.float32(2 * np.pi * rng.uniform(0.1, 4) / SAMPLE_RATE) + rng.uniform(0, 6.28))
    late_s = rng.uniform(0.004, 0.02) + rng.uniform(0.0002, 0.003) * sweep
    second = np.interp(time - late_s * SAMPLE_RATE, time, audio)
    return np.asarray(audio + rng.uniform(0.3, 1.0) * second, np.float32)


def body(spectra: np.ndarray, octaves: float) -> np.ndarray:
    """Move the formants up, and leave the pitch: a smaller throat, a smaller violin.

    Shape: (T, bins) complex64 -> the same.
    """
    n_bins = spectra.shape[-1]
    cepstrum = np.fft.irfft(np.log(np.abs(spectra) + 1e-4))
    kept = round(BODY_QUEFRENCY_S * SAMPLE_RATE)
    cepstrum[:, kept : cepstrum.shape[1] - kept + 1] = 0
    smooth = np.fft.rfft(cepstrum).real  # log magnitude of the body
    place = np.minimum(np.arange(n_bins) / 2**octaves, n_bins - 1)
    low = np.minimum(place.astype(int), n_bins - 2)
    part = place - low
    moved = (1 - part) * smooth[:, low] + part * smooth[:, low + 1]
    most = MOST_DB * np.log(10) / 20
    return np.asarray(spectra * np.exp(np.clip(moved - smooth, -most, most)), np.complex64)


def borrowed(spectra: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the gain per bin that gives a sound the colour of another one of its kind, on average.

    Shape: (T, bins) complex each -> (bins,) float32.
    """
    change_db = np.clip(_colour_db(other) - _colour_db(spectra), -MOST_DB, MOST_DB)
    octaves = np.log2(np.maximum(np.arange(N_BINS), 1))
    return np.asarray(10 ** (np.interp(octaves, _knots(), change_db) / 20), np.float32)


def brightened(spectra: np.ndarray, rng: random.Random) -> np.ndarray:
    """Go on above the frequency where a recording was cut: its highest octave is copied up, ever softer.

    So a class of which only old recordings are at hand is known from better ones, too.  (Spectral band
    replication; M. Dietz et al., AES 112, 2002.)

    Shape: (T, bins) complex64 -> the same.
    """
    power = np.mean(np.abs(spectra) ** 2, 0)
    heard = np.flatnonzero(power > FAINT * power.max())
    bin_hz = SAMPLE_RATE / 2 / (spectra.shape[-1] - 1)
    if not len(heard) or not NARROWEST_HZ < heard[-1] * bin_hz < WIDEST_HZ:
        return spectra
    cut = round(0.95 * heard[-1])  # the edge itself is a slope
    above = np.arange(cut, spectra.shape[-1])
    place = cut - 1 - (above - cut) % (cut // 2)  # downwards, so that it begins as loud as it ended
    gain_db = -rng.uniform(0, 6) - rng.uniform(6, 24) * np.log2(above / cut)
    bright = spectra.copy()
    bright[:, cut:] = spectra[:, place] * 10 ** (gain_db / 20)
    return bright


@functools.cache
def _knots() -> np.ndarray:
    return np.arange(1, np.log2(N_BINS), 1 / 4)  # octaves above the first bin


@functools.cache
def _about() -> np.ndarray:
    """Return how much each bin counts about each knot.  Shape: (knots, bins - 1)."""
    apart = _knots()[:, None] - np.log2(np.arange(1, N_BINS))
    weights = np.exp(-0.5 * (apart / COLOUR_OCTAVES) ** 2)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _colour_db(spectra: np.ndarray) -> np.ndarray:
    """Return the mean power about each knot, its own mean removed.  Shape: (T, bins) -> (knots,)."""
    about = _about() @ np.mean(np.abs(spectra[:, 1:]) ** 2, 0)
    level_db = 10 * np.log10(about + FAINT * about.max() + TINY**2)
    return np.asarray(level_db - level_db.mean())
