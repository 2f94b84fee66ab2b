"""Synthetic weather, water and fire."""

import numpy as np

from soundlasso.models.training.blocks import (
    Rng,
    Wave,
    burst,
    coloured,
    fading,
    glide,
    repeated,
    samples,
    scattered,
    through,
    tone,
    wander,
)
from soundlasso.models.training.storage import SAMPLE_RATE


def wind(rng: Rng, n: int) -> Wave:
    """Play gusts, and now and then a whistle round a corner."""
    body = coloured(rng, n, rng.uniform(40, 150), rng.uniform(400, 1500), rng.uniform(0, 4))
    out = body * wander(rng, n, rng.uniform(0.5, 3), 0.1, 1)
    if rng.random() < 0.5:
        whistle = through(rng.standard_normal(n), [rng.uniform(300, 1200)], rng.uniform(10, 40))
        out = out + rng.uniform(1, 4) * whistle * wander(rng, n, 1, 0.05, 1)
    return out


def rain(rng: Rng, n: int) -> Wave:
    """Play a steady hiss, and single drops."""
    hiss = coloured(rng, n, rng.uniform(300, 2000), rng.uniform(6000, 16000), rng.uniform(-2, 3))
    drops = scattered(
        rng, n, rng.uniform(20, 200), lambda r: burst(r, r.uniform(0.003, 0.02), 1500, 9000), 25
    )
    return rng.uniform(0.1, 1) * hiss * wander(rng, n, 0.3, 0.6, 1) + rng.uniform(0.2, 2) * drops


def bubble(rng: Rng) -> Wave:
    """Play one bubble: a tone that rises as it dies."""
    n = samples(rng.uniform(0.02, 0.15))
    hz = rng.uniform(250, 2500)
    return tone(hz * glide(n, 1, rng.uniform(1.1, 2)), [1]) * fading(n, n / SAMPLE_RATE)


def bubbles(rng: Rng, n: int) -> Wave:
    """Play bubbles in a glass or a pond."""
    return scattered(rng, n, rng.uniform(4, 40), bubble, 20)


def stream(rng: Rng, n: int) -> Wave:
    """Play running water: very many bubbles over a rush."""
    rush = coloured(rng, n, rng.uniform(200, 800), rng.uniform(2000, 8000), rng.uniform(0, 5))
    return rng.uniform(0.05, 0.5) * rush + scattered(rng, n, rng.uniform(80, 250), bubble, 25)


def waterfall(rng: Rng, n: int) -> Wave:
    """Play falling water, a tap or a shower: an even roar."""
    return coloured(rng, n, rng.uniform(60, 600), rng.uniform(3000, 12000), rng.uniform(-1, 4))


def sea_waves(rng: Rng, n: int) -> Wave:
    """Play breakers that come and go."""
    period = rng.uniform(3, 9)
    phase = np.arange(n) / SAMPLE_RATE / period + rng.random()
    swell = 0.15 + (np.sin(2 * np.pi * phase + 0.5 * np.sin(2 * np.pi * phase)) * 0.5 + 0.5) ** 2
    low = coloured(rng, n, 60, rng.uniform(500, 1500), 3)
    high = coloured(rng, n, 1000, rng.uniform(5000, 12000), 2)
    return low * swell + rng.uniform(0.3, 1) * high * swell**2


def water_drip(rng: Rng, n: int) -> Wave:
    """Play a tap that drips."""
    return repeated(rng, n, rng.uniform(0.25, 1.2), bubble, 0.1, 6)


def splash(rng: Rng, n: int) -> Wave:
    """Play something that falls into water."""

    def one(r: Rng) -> Wave:
        length = samples(r.uniform(0.5, 1.2))
        spray = coloured(r, length, 300, 8000, 2) * fading(length, r.uniform(0.3, 1), 0.02)
        return spray + scattered(r, length, 40, bubble, 10) * fading(length, 1.2)

    return repeated(rng, n, rng.uniform(1, 3), one, 0.3)


def thunder(rng: Rng, n: int) -> Wave:
    """Play a crack, or none, and a long rumble."""
    out = coloured(rng, n, 20, rng.uniform(80, 300), rng.uniform(3, 6)) * wander(rng, n, 5, 0.1, 1)
    out *= fading(n, rng.uniform(2, 6), rng.uniform(0.02, 0.5))
    if rng.random() < 0.6:
        crack = scattered(rng, samples(0.4), 40, lambda r: burst(r, r.uniform(0.02, 0.2), 100, 6000, 2))
        out[: len(crack)] += crack[:n] * rng.uniform(0.2, 1)
    return out


def fire(rng: Rng, n: int) -> Wave:
    """Play crackles over a soft roar."""
    crackle = scattered(
        rng, n, rng.uniform(8, 60), lambda r: burst(r, r.uniform(0.002, 0.02), 800, 12000), 30
    )
    roar = coloured(rng, n, 30, rng.uniform(200, 800), 3) * wander(rng, n, 6, 0.4, 1)
    return crackle + rng.uniform(0.02, 0.4) * roar


def hiss(rng: Rng, n: int) -> Wave:
    """Play steam, or a snake."""
    noise = coloured(rng, n, rng.uniform(2000, 5000), rng.uniform(8000, 16000))
    return noise * wander(rng, n, rng.uniform(0.5, 4), 0.2, 1)


NATURE = {
    "wind": wind, "rain": rain, "bubbles": bubbles, "stream": stream, "waterfall": waterfall,
    "toilet_shower": waterfall, "water_pour": stream, "sea_waves": sea_waves, "water_drip": water_drip,
    "splash": splash, "thunder": thunder, "fire": fire, "steam": hiss, "snake_hiss": hiss,
}  # fmt: skip
"""What makes each class."""
