"""What synthetic effects are made of: noises, tones, blows and what scatters them in time.

All give float64 mono at 44.1 kHz; levels are set when a clip is kept.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import signal

from soundlasso.models.training.storage import SAMPLE_RATE

Rng = np.random.Generator
Wave = npt.NDArray[np.float64]
Event = Callable[[Rng], Wave]
HIGHEST_HZ = 18000.0


def samples(seconds: float) -> int:
    """Return how many samples so many seconds are."""
    return max(1, round(seconds * SAMPLE_RATE))


def clean(wave: Wave) -> npt.NDArray[np.float32]:
    """Bring a finished clip to full scale.  Shape: (n,) -> the same."""
    return np.asarray(wave / (np.abs(wave).max() + 1e-9), np.float32)


def coloured(rng: Rng, n: int, low_hz: float, high_hz: float, slope_db: float = 0.0) -> Wave:
    """Make noise between two frequencies, falling by `slope_db` an octave; its edges are soft.

    Shape: (n,).
    """
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), 1.0)
    gain = (hz / 1000) ** (-slope_db / 6.02)
    gain /= (1 + (low_hz / hz) ** 4) * (1 + (hz / high_hz) ** 4)
    noise = np.fft.irfft(spectrum * gain, n)
    return np.asarray(noise / (np.std(noise) + 1e-12))


def wander(rng: Rng, n: int, per_s: float, low: float, high: float) -> Wave:
    """Make a slow random curve between two values, `per_s` turns a second, by ratio where both are positive.

    Shape: (n,).
    """
    knots = max(2, int(per_s * n / SAMPLE_RATE) + 2)
    by_ratio = low > 0
    first, last = (np.log(low), np.log(high)) if by_ratio else (low, high)
    curve = np.interp(np.arange(n), np.linspace(0, n, knots), rng.uniform(first, last, knots))
    return np.exp(curve) if by_ratio else curve


def glide(n: int, *values: float) -> Wave:
    """Make a curve through some values at equal distances.  Shape: (n,)."""
    return np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(values)), values)


def tone(hz: Wave, weights: Sequence[float]) -> Wave:
    """Make a tone whose pitch moves, with a weight for each harmonic; what would alias is left out.

    Shape: hz (n,) -> (n,).
    """
    phase = 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE
    out = np.zeros(len(hz))
    for number, weight in enumerate(weights, 1):
        if weight and number * float(hz.min()) < HIGHEST_HZ:
            out += weight * np.sin(number * phase) * (number * hz < HIGHEST_HZ)
    return out


def buzz(rng: Rng, hz: Wave, tilt: float = 1.0, most: int = 60) -> Wave:
    """Make a tone full of harmonics, the k-th with a weight of about k ** -tilt: a reed, an engine, a throat.

    Shape: hz (n,) -> (n,).
    """
    count = int(min(most, max(1.0, HIGHEST_HZ / max(float(hz.min()), 1.0))))
    return tone(hz, [rng.uniform(0.5, 1.5) * k**-tilt for k in range(1, count + 1)])


def through(wave: Wave, centres_hz: Sequence[float], q: float, dry: float = 0.0) -> Wave:
    """Let a wave through resonances: a throat, a box, a pipe.  Shape: (n,) -> (n,)."""
    out = dry * wave
    for centre_hz in centres_hz:
        b, a = signal.iirpeak(min(centre_hz, HIGHEST_HZ), q, SAMPLE_RATE)
        out = out + signal.lfilter(b, a, wave)
    return np.asarray(out)


def fading(n: int, decay_s: float, attack_s: float = 0.001) -> Wave:
    """Make an envelope that rises at once and falls by 60 dB in `decay_s`.  Shape: (n,)."""
    time = np.arange(n) / SAMPLE_RATE
    return np.asarray(np.exp(-6.9 * time / decay_s) * np.minimum(1, time / attack_s))


def swelling(n: int, rise: float = 0.5) -> Wave:
    """Make an envelope that comes and goes, highest at a share `rise` of the length.  Shape: (n,)."""
    place = np.linspace(0, 1, n)
    return np.asarray(np.sin(np.pi * place ** (np.log(0.5) / np.log(rise))) ** 2)


def held(n: int, edge: float) -> Wave:
    """Make an envelope that holds its level between short edges; the larger `edge`, the shorter.

    Shape: (n,).
    """
    return np.asarray(np.minimum(1, edge * np.sin(np.pi * np.linspace(0, 1, n))))


def pulsing(n: int, rate_hz: float, sharpness: float) -> Wave:
    """Make an envelope that comes and goes so many times a second.  Shape: (n,)."""
    return np.asarray(np.maximum(np.sin(2 * np.pi * rate_hz * np.arange(n) / SAMPLE_RATE), 0) ** sharpness)


def struck(rng: Rng, seconds: float, hz: Sequence[float], decay_s: float) -> Wave:
    """Strike something that rings at some frequencies; the higher die sooner.

    Shape: (samples,).
    """
    n = samples(seconds)
    time = np.arange(n) / SAMPLE_RATE
    out = np.zeros(n)
    for partial_hz in hz:
        if partial_hz < HIGHEST_HZ:
            decay = decay_s * (hz[0] / partial_hz) ** rng.uniform(0.3, 0.8)
            size = rng.uniform(0.3, 1)
            out += size * np.exp(-6.9 * time / decay) * np.sin(2 * np.pi * (partial_hz * time + rng.random()))
    blow = coloured(rng, min(n, samples(0.02)), 500, 8000) * rng.uniform(0, 0.5)
    out[: len(blow)] += blow * fading(len(blow), 0.01)
    return out


def thump(rng: Rng, hz: float, decay_s: float, click: float = 0.3) -> Wave:
    """Hit something dull: a low tone that falls, and a click.  Shape: (samples,)."""
    n = samples(decay_s * 1.5)
    body = tone(hz * (1 + 0.8 * fading(n, 0.05)), [1, 0.3]) * fading(n, decay_s)
    return body + click * coloured(rng, n, 800, 6000) * fading(n, decay_s * rng.uniform(0.1, 0.4))


def burst(rng: Rng, decay_s: float, low_hz: float, high_hz: float, slope_db: float = 0.0) -> Wave:
    """Make a short noise that dies away.  Shape: (samples,)."""
    n = samples(decay_s)
    return coloured(rng, n, low_hz, high_hz, slope_db) * fading(n, decay_s)


def scattered(rng: Rng, n: int, per_s: float, event: Event, spread_db: float = 12.0) -> Wave:
    """Let events happen at random, so many a second, at levels that differ.

    Shape: (n,).
    """
    return laid(
        rng, n, np.sort(rng.uniform(0, n, rng.poisson(per_s * n / SAMPLE_RATE) + 1)), event, spread_db
    )


def repeated(
    rng: Rng, n: int, every_s: float, event: Event, jitter: float = 0.05, spread_db: float = 3.0
) -> Wave:
    """Let events happen in a rhythm that is not quite even, the first one soon.  Shape: (n,)."""
    steps = every_s * (1 + jitter * rng.standard_normal(int(n / SAMPLE_RATE / every_s) + 1))
    starts = SAMPLE_RATE * np.cumsum(np.maximum(steps, 0.2 * every_s))
    first = rng.uniform(0, min(every_s * SAMPLE_RATE, n / 2))
    return laid(rng, n, starts - starts[0] + first, event, spread_db)


def laid(rng: Rng, n: int, starts: Wave, event: Event, spread_db: float) -> Wave:
    """Lay an event at each start that lies within n samples.  Shape: (n,)."""
    out = np.zeros(n)
    for start in starts[starts < n].astype(int):
        sound = event(rng)[: n - start]
        out[start : start + len(sound)] += sound * 10 ** (rng.uniform(-spread_db, 0) / 20)
    return out
