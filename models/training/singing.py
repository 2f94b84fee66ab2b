"""Let recorded speakers sing: their throats and words, on a melody, by a channel vocoder.

The packages hold next to no singing.  What makes speech of a recording, its envelope over frequency and
time, is kept and drawn out; what vibrates is replaced by a tone that follows a tune, with vibrato.
"""

import numpy as np
from scipy import ndimage, signal

from soundlasso.models.training.blocks import Rng, Wave, coloured, samples, tone
from soundlasso.models.training.storage import SAMPLE_RATE

N_FFT, HOP_LENGTH = 1024, 256
BODY_QUEFRENCY_S = 0.002
"""What is smoother than this in a spectrum is the throat, what is finer the pitch."""
VOICED = (0.35, 0.6)
"""A frame is breath below, and voice above this height of its autocorrelation's peak."""
STEADY_FRAMES = 9
SPOKEN_HZ = (70.0, 400.0)
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
HARMONICS = 60
BREATHY_HZ = 5000.0
"""Above it even a sung vowel is mostly breath."""


def melody(rng: Rng, n: int, lowest_hz: float, octaves: float) -> Wave:
    """Make the pitch of a tune: steps of a scale that slide into each other, and vibrato on long notes.

    Shape: (n,), in Hz.
    """
    scale = np.array(SCALES[rng.integers(len(SCALES))])
    steps = np.concatenate([scale + 12 * octave for octave in range(int(octaves) + 1)])
    steps = steps[steps <= 12 * octaves]
    pitch, vibrato = np.zeros(n), np.zeros(n)
    at, place = 0, int(rng.integers(len(steps)))
    while at < n:
        length = samples(rng.choice((0.2, 0.3, 0.4, 0.6, 0.9, 1.4)) * rng.uniform(0.8, 1.2))
        pitch[at : at + length] = steps[place]
        vibrato[at : at + length] = np.clip(np.arange(length) / samples(0.5) - 0.3, 0, 1)[: n - at]
        at, place = at + length, int(np.clip(place + rng.integers(-3, 4), 0, len(steps) - 1))
    pitch = ndimage.gaussian_filter1d(pitch, samples(rng.uniform(0.01, 0.06)), mode="nearest")
    shake = np.sin(2 * np.pi * rng.uniform(4.8, 6.8) * np.arange(n) / SAMPLE_RATE)
    pitch += rng.uniform(0.1, 0.7) * vibrato * shake + 0.08 * coloured(rng, n, 0.5, 8)
    return np.asarray(lowest_hz * 2 ** (pitch / 12))


def sing(speech: Wave, hz: Wave, rng: Rng) -> Wave:
    """Sing what is said in `speech`, drawn out to the length of the pitch `hz`.

    Shape: (any,), (n,) -> (n,).
    """
    frames = _spectra(speech)
    throat, voiced = _throat(np.abs(frames)), _voicing(speech, frames.shape[1])
    reed = _flat(_spectra(tone(hz, [1.0] * HARMONICS)))
    breath = _flat(_spectra(rng.standard_normal(len(hz))))
    place = np.linspace(0, frames.shape[1] - 1, reed.shape[1])
    throat = ndimage.map_coordinates(
        throat, np.meshgrid(np.arange(len(throat)), place, indexing="ij"), order=1
    )
    hum = 1 / (1 + (np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE) / BREATHY_HZ) ** 4)
    share = hum[:, None] * np.interp(place, np.arange(len(voiced)), voiced) ** 0.5
    sung = np.exp(throat) * (share * reed + (1 - share) * breath)
    _, wave = signal.istft(sung, SAMPLE_RATE, nperseg=N_FFT, noverlap=N_FFT - HOP_LENGTH)
    return np.asarray(np.resize(wave, len(hz)))


def _spectra(wave: Wave) -> np.ndarray:
    """Shape: (n,) -> (bins, frames)."""
    return np.asarray(signal.stft(wave, SAMPLE_RATE, nperseg=N_FFT, noverlap=N_FFT - HOP_LENGTH)[2])


def _flat(frames: np.ndarray) -> np.ndarray:
    """Bring every frame to one level.  Shape: (bins, frames) -> the same."""
    return np.asarray(frames / (np.sqrt(np.mean(np.abs(frames) ** 2, 0, keepdims=True)) + 1e-9))


def _throat(magnitude: np.ndarray) -> np.ndarray:
    """Smooth the log magnitude over frequency.  Shape: (bins, frames) -> the same."""
    cepstrum = np.fft.irfft(np.log(magnitude + 1e-5), axis=0)
    kept = round(BODY_QUEFRENCY_S * SAMPLE_RATE)
    cepstrum[kept : len(cepstrum) - kept + 1] = 0
    return np.asarray(np.fft.rfft(cepstrum, axis=0).real)


def _voicing(speech: Wave, n_frames: int) -> Wave:
    """Tell how surely each frame is voice, not breath.  Shape: (any,) -> (n_frames,), 0 to 1."""
    longest = round(SAMPLE_RATE / SPOKEN_HZ[0])
    size = 2 * longest
    padded = np.pad(speech, (size // 2, size + HOP_LENGTH))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::HOP_LENGTH][:n_frames]
    power = np.abs(np.fft.rfft(windows * np.hanning(size), 2 * size)) ** 2
    alike = np.fft.irfft(power)
    peak = alike[:, round(SAMPLE_RATE / SPOKEN_HZ[1]) : longest].max(1) / (alike[:, 0] + 1e-9)
    low, high = VOICED
    voiced = ndimage.median_filter(np.clip((peak - low) / (high - low), 0, 1), STEADY_FRAMES)
    return np.pad(voiced, (0, n_frames - len(voiced)), mode="edge")
