"""Crowds that talk and cheer, made of recorded speakers."""

from collections.abc import Callable, Sequence

import numpy as np

from soundlasso.models.training.blocks import (
    Rng,
    Wave,
    coloured,
    glide,
    laid,
    samples,
    scattered,
    swelling,
    tone,
    wander,
)
from soundlasso.models.training.singing import sing
from soundlasso.models.training.synthetic_things import applause

Voices = Sequence[np.ndarray]
SHOUTS = ((0.6, 1, 1.1, 1), (1, 1.1, 0.7), (0.8, 1, 1), (0.5, 1.2, 0.6))
"""How the pitch of a shout moves: woo, hey, yeah, whoop."""
SHOUTED_HZ = (180.0, 750.0)


def chatter(rng: Rng, n: int, voices: Voices) -> Wave:
    """Let many people talk at once.  Shape: (n,)."""
    out = np.zeros(n)
    for voice in _some(rng, voices, int(rng.integers(8, 30))):
        out += _endless(voice, n, rng) * rng.uniform(0.2, 1)
    return out


def cheer(rng: Rng, n: int, voices: Voices) -> Wave:
    """Let people cheer: a stadium that roars, or a few of them who shout, clap and whistle.  Shape: (n,)."""
    return _stadium(rng, n, voices) if rng.random() < 0.4 else _party(rng, n, voices)


def _stadium(rng: Rng, n: int, voices: Voices) -> Wave:
    out = np.zeros(n)
    for voice in _some(rng, voices, int(rng.integers(8, 30))):
        place = np.arange(0, len(voice) - 1, rng.uniform(1.0, 1.8))
        out += _endless(np.interp(place, np.arange(len(voice)), voice), n, rng) * rng.uniform(0.2, 1)
    roar = coloured(rng, n, 300, rng.uniform(2500, 6000), 2) * wander(rng, n, 1, 0.3, 1)
    return out * wander(rng, n, 1, 0.3, 1) + 3 * rng.uniform(0.5, 2) * roar


def _party(rng: Rng, n: int, voices: Voices) -> Wave:
    """Let three to sixty shouts rise and die away together."""
    shouts = [shout(rng, voice) for voice in _some(rng, voices, 12)]
    starts = np.sort(n * rng.beta(1, rng.uniform(1, 3), round(3 * 20 ** rng.random())))
    out = laid(rng, n, starts, lambda r: shouts[r.integers(len(shouts))], 18)
    for noise, how_often in ((applause, 0.5), (whistles, 0.3)):
        if rng.random() < how_often:
            out += _level(noise(rng, n)) * np.std(out) * 10 ** (rng.uniform(-20, 0) / 20)
    return out


def shout(rng: Rng, voice: np.ndarray) -> Wave:
    """Let a speaker shout part of a word, drawn out.  Shape: (any,) -> (samples,), at a standard level."""
    length, n = samples(rng.uniform(0.15, 0.5)), samples(rng.uniform(0.3, 2.0))
    start = rng.integers(max(1, len(voice) - length))
    low, high = np.log(SHOUTED_HZ)
    hz = np.exp(rng.uniform(low, high)) * glide(n, *SHOUTS[rng.integers(len(SHOUTS))])
    sung = sing(voice[start : start + length].astype(np.float64), hz * wander(rng, n, 6, 0.97, 1.03), rng)
    return _level(sung * swelling(n, rng.uniform(0.1, 0.5)))


def whistles(rng: Rng, n: int) -> Wave:
    """Let somebody whistle through the fingers, now and then.  Shape: (n,)."""

    def whistle(r: Rng) -> Wave:
        length = samples(r.uniform(0.2, 0.9))
        hz = r.uniform(1500, 3500) * glide(length, 0.7, 1, r.uniform(0.6, 1.2))
        return tone(hz, [1, 0.1]) * swelling(length, 0.3)

    return scattered(rng, n, 0.8, whistle)


def _some(rng: Rng, voices: Voices, count: int) -> list[np.ndarray]:
    return [voices[i] for i in rng.choice(len(voices), min(len(voices), count), replace=False)]


def _endless(voice: np.ndarray, n: int, rng: Rng) -> Wave:
    """Let a voice go on for n samples, from anywhere in it.  Shape: (any,) -> (n,), at a standard level."""
    return _level(np.resize(np.roll(voice.astype(np.float64), rng.integers(len(voice))), n))


def _level(wave: Wave) -> Wave:
    return wave / (np.std(wave) + 1e-9)


CROWDS: dict[str, Callable[[Rng, int, Voices], Wave]] = {"crowd_chatter": chatter, "crowd_cheer": cheer}
"""What makes each class, out of the voices of speakers."""
