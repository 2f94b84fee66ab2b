"""Synthetic weather, water, fire and animals."""

import numpy as np

from soundlasso.models.training.blocks import (
    Rng,
    Wave,
    burst,
    buzz,
    coloured,
    fading,
    glide,
    pulsing,
    repeated,
    samples,
    scattered,
    swelling,
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


# ---------------------------------------------------------------- animals


def voice(rng: Rng, hz: Wave, formants_hz: list[float], rough: float = 0.1, tilt: float = 0.8) -> Wave:
    """Play a throat: a buzz and some breath through formants, swelling once.  Shape: hz (n,) -> (n,)."""
    n = len(hz)
    shake = 1 + rough * coloured(rng, n, 20, 80)
    source = buzz(rng, hz * np.clip(shake, 0.7, 1.3), tilt) + rough * coloured(rng, n, 500, 8000)
    return through(source, formants_hz, rng.uniform(2, 6), 0.1) * swelling(n, rng.uniform(0.15, 0.5))


def bird_song(rng: Rng, n: int) -> Wave:
    """Play chirps and trills, one motif again and again."""
    centre, shape = rng.uniform(2000, 6000), rng.uniform(0.6, 1.6, rng.integers(2, 7))
    length, trill = samples(rng.uniform(0.05, 0.4)), rng.uniform(10, 60)

    def chirp(r: Rng) -> Wave:
        time = np.arange(length) / SAMPLE_RATE
        hz = centre * glide(length, *shape) * (1 + 0.1 * (trill > 30) * np.sin(2 * np.pi * trill * time))
        return tone(hz, [1, r.uniform(0, 0.2)]) * swelling(length)

    return repeated(rng, n, length / SAMPLE_RATE + rng.uniform(0.05, 0.6), chirp, 0.2, 8)


def crow(rng: Rng, n: int) -> Wave:
    """Play caws."""

    def caw(r: Rng) -> Wave:
        length = samples(r.uniform(0.2, 0.5))
        return voice(r, r.uniform(350, 600) * glide(length, 1, 1.1, 0.8), [1200, 1800, 3000], 0.5, 0.3)

    return repeated(rng, n, rng.uniform(0.5, 1), caw, 0.1)


def seagull(rng: Rng, n: int) -> Wave:
    """Play cries that fall."""

    def cry(r: Rng) -> Wave:
        length = samples(r.uniform(0.3, 0.8))
        return voice(r, r.uniform(700, 1200) * glide(length, 1, 1.5, 1.2, 0.8), [2000, 3500], 0.2, 0.5)

    return repeated(rng, n, rng.uniform(0.5, 1.2), cry, 0.2)


def owl(rng: Rng, n: int) -> Wave:
    """Play hoots."""

    def hoot(r: Rng) -> Wave:
        length = samples(r.uniform(0.3, 0.9))
        return tone(r.uniform(280, 500) * glide(length, 0.9, 1, 0.95), [1, 0.1]) * swelling(length)

    return repeated(rng, n, rng.uniform(0.6, 1.5), hoot, 0.2)


def duck_goose(rng: Rng, n: int) -> Wave:
    """Play quacks."""

    def quack(r: Rng) -> Wave:
        length = samples(r.uniform(0.1, 0.3))
        return voice(r, r.uniform(200, 400) * glide(length, 1, 0.9), [1100, 1500, 2600], 0.3, 0.2)

    return repeated(rng, n, rng.uniform(0.2, 0.5), quack, 0.2)


def wolf(rng: Rng, n: int) -> Wave:
    """Play howls."""

    def howl(r: Rng) -> Wave:
        length = samples(r.uniform(1.5, 3.5))
        hz = r.uniform(300, 600) * glide(length, 0.6, 1, 1.1, 1, 0.7)
        return voice(r, hz, [700, 1400], 0.03, 1.5)

    return repeated(rng, n, rng.uniform(1.5, 3), howl, 0.2)


def cat(rng: Rng, n: int) -> Wave:
    """Play meows."""

    def meow(r: Rng) -> Wave:
        length = samples(r.uniform(0.4, 1.1))
        hz = r.uniform(400, 800) * glide(length, 0.8, 1.2, 1.1, 0.7)
        return voice(r, hz, [1000, 2000, 3500], 0.1, 0.8)

    return repeated(rng, n, rng.uniform(0.8, 2), meow, 0.3)


def cow(rng: Rng, n: int) -> Wave:
    """Play moos."""

    def moo(r: Rng) -> Wave:
        length = samples(r.uniform(0.8, 2))
        return voice(r, r.uniform(90, 200) * glide(length, 0.8, 1.1, 1, 0.8), [250, 700, 1800], 0.1, 0.7)

    return repeated(rng, n, rng.uniform(1.5, 3), moo, 0.3)


def sheep_goat(rng: Rng, n: int) -> Wave:
    """Play bleats, which tremble."""

    def bleat(r: Rng) -> Wave:
        length = samples(r.uniform(0.4, 1))
        tremble = 1 + 0.5 * np.sin(2 * np.pi * r.uniform(6, 11) * np.arange(length) / SAMPLE_RATE)
        return voice(r, r.uniform(200, 450) * glide(length, 1, 1.1, 0.9), [800, 1700], 0.2, 0.5) * tremble

    return repeated(rng, n, rng.uniform(0.8, 2), bleat, 0.3)


def frog(rng: Rng, n: int) -> Wave:
    """Play croaks: clicks in a row, through a mouth."""

    def croak(r: Rng) -> Wave:
        length = samples(r.uniform(0.15, 0.6))
        clicks = repeated(r, length, 1 / r.uniform(20, 60), lambda q: burst(q, 0.01, 200, 4000), 0.02)
        return through(clicks, [r.uniform(400, 900), r.uniform(1200, 2500)], 5) * swelling(length)

    return repeated(rng, n, rng.uniform(0.4, 1.2), croak, 0.2)


def cricket(rng: Rng, n: int) -> Wave:
    """Play chirps of a steady high tone."""
    hz, rate = rng.uniform(3000, 6500), rng.uniform(15, 50)
    time = np.arange(n) / SAMPLE_RATE
    pulses = pulsing(n, rate, 2)
    chirps = np.sin(2 * np.pi * rng.uniform(0.8, 3) * time) > rng.uniform(-0.8, 0.3)
    return tone(np.full(n, hz), [1, 0.1]) * pulses * chirps


def bee_insect(rng: Rng, n: int) -> Wave:
    """Play a buzz that comes near and goes."""
    hz = wander(rng, n, rng.uniform(1, 4), 1, 1.25) * rng.uniform(110, 350)
    return buzz(rng, hz, 0.8) * wander(rng, n, rng.uniform(0.5, 2), 0.1, 1)


def baby_cry(rng: Rng, n: int) -> Wave:
    """Play cries, with a breath between."""

    def cry(r: Rng) -> Wave:
        length = samples(r.uniform(0.6, 1.4))
        return voice(
            r, r.uniform(350, 550) * glide(length, 0.9, 1.2, 1.1, 0.8), [1100, 2800, 4000], 0.12, 0.5
        )

    return repeated(rng, n, rng.uniform(1, 1.8), cry, 0.1)


def whistling(rng: Rng, n: int) -> Wave:
    """Play somebody who whistles a tune."""
    steps = 2 ** (rng.integers(-7, 8, max(2, int(n / SAMPLE_RATE * rng.uniform(1.5, 4)))) / 12)
    hz = rng.uniform(900, 1800) * np.repeat(steps, -(-n // len(steps)))[:n]
    hz *= 1 + 0.01 * np.sin(2 * np.pi * 5 * np.arange(n) / SAMPLE_RATE)
    breath = 0.05 * coloured(rng, n, 1000, 8000)
    return (tone(hz, [1, 0.05]) + breath) * wander(rng, n, 4, 0.3, 1)


def breathing_snore(rng: Rng, n: int) -> Wave:
    """Play snores, in and out."""

    def snore(r: Rng) -> Wave:
        length = samples(r.uniform(0.8, 1.5))
        rattle = buzz(r, r.uniform(30, 70) * wander(r, length, 5, 0.8, 1.25), 0.4)
        return through(rattle + coloured(r, length, 200, 4000), [400, 1100], 2, 0.2) * swelling(length)

    return repeated(rng, n, rng.uniform(1.5, 2.5), snore, 0.1, 6)


def cough_sneeze(rng: Rng, n: int) -> Wave:
    """Play coughs."""

    def cough(r: Rng) -> Wave:
        length = samples(r.uniform(0.15, 0.4))
        air = through(coloured(r, length, 200, 7000, 2), [600, 1500, 2800], 3, 0.3)
        return air * fading(length, r.uniform(0.15, 0.4), 0.01)

    return repeated(rng, n, rng.uniform(0.4, 1), cough, 0.3)


NATURE = {
    "wind": wind, "rain": rain, "bubbles": bubbles, "stream": stream, "waterfall": waterfall,
    "toilet_shower": waterfall, "water_pour": stream, "sea_waves": sea_waves, "water_drip": water_drip,
    "splash": splash, "thunder": thunder, "fire": fire, "steam": hiss, "snake_hiss": hiss,
    "bird_song": bird_song, "crow": crow, "seagull": seagull, "owl": owl, "duck_goose": duck_goose,
    "wolf": wolf, "cat": cat, "cow": cow, "sheep_goat": sheep_goat, "frog": frog, "cricket": cricket,
    "bee_insect": bee_insect, "baby_cry": baby_cry, "whistling": whistling,
    "breathing_snore": breathing_snore, "cough_sneeze": cough_sneeze,
}  # fmt: skip
"""What makes each class.  No dogs: barks by formula were so unlike real ones that those were lost."""
