"""Synthetic animals and people: throats of many sizes."""

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
    swelling,
    through,
    tone,
    wander,
)
from soundlasso.models.training.storage import SAMPLE_RATE


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


def big_cat(rng: Rng, n: int) -> Wave:
    """Play roars and growls, rough and low."""

    def roar(r: Rng) -> Wave:
        length = samples(r.uniform(0.7, 2.5))
        hz = r.uniform(60, 170) * glide(length, 0.8, 1.2, 1, 0.6)
        rattle = 1 + 0.7 * pulsing(length, r.uniform(18, 35), 1)
        return voice(r, hz, [r.uniform(350, 600), 1100, 2400], r.uniform(0.4, 0.9), 0.5) * rattle

    return repeated(rng, n, rng.uniform(1.2, 3), roar, 0.3, 6)


def bear(rng: Rng, n: int) -> Wave:
    """Play growls and huffs."""

    def growl(r: Rng) -> Wave:
        length = samples(r.uniform(0.3, 1.5))
        hz = r.uniform(70, 190) * wander(r, length, 6, 0.85, 1.2)
        huff = coloured(r, length, 150, 2500, 3) * swelling(length, 0.3)
        return voice(r, hz, [r.uniform(300, 500), 900, 1900], r.uniform(0.3, 0.8), 0.7) + huff

    return repeated(rng, n, rng.uniform(0.6, 2), growl, 0.3, 8)


def donkey_camel(rng: Rng, n: int) -> Wave:
    """Play hee-haws: a wheeze in, a bray out, again and again."""

    def bray(r: Rng) -> Wave:
        wheeze, blast = samples(r.uniform(0.25, 0.5)), samples(r.uniform(0.3, 0.7))
        hee = voice(r, r.uniform(500, 900) * glide(wheeze, 0.8, 1.2), [1400, 2600], 0.5, 0.2)
        haw = voice(r, r.uniform(180, 330) * glide(blast, 1.1, 1, 0.8), [600, 1300, 2500], 0.4, 0.3)
        return np.concatenate([r.uniform(0.2, 0.7) * hee, haw])

    return repeated(rng, n, rng.uniform(0.7, 1.2), bray, 0.1, 4)


def deer_moose(rng: Rng, n: int) -> Wave:
    """Play bellows and barks of stags, or the long calls of a moose."""
    long = rng.random() < 0.5

    def call(r: Rng) -> Wave:
        length = samples(r.uniform(1, 2.5) if long else r.uniform(0.2, 0.6))
        hz = r.uniform(110, 420) * glide(length, 0.7, 1, 1, 0.8)
        return voice(r, hz, [r.uniform(400, 700), 1300, 2400], r.uniform(0.15, 0.5), 0.6)

    return repeated(rng, n, rng.uniform(0.8, 2.5), call, 0.3, 6)


def marine_mammal(rng: Rng, n: int) -> Wave:
    """Play the songs of whales, the barks of seals, or a dolphin's whistles and clicks."""
    kind = rng.integers(3)

    def moan(r: Rng) -> Wave:
        length = samples(r.uniform(0.8, 3))
        hz = r.uniform(120, 1200) * glide(length, *r.uniform(0.6, 1.6, 4))
        return tone(hz, [1, 0.4, 0.2, 0.1]) * swelling(length)

    def bark(r: Rng) -> Wave:
        length = samples(r.uniform(0.15, 0.45))
        return voice(r, r.uniform(200, 450) * glide(length, 1, 1.1, 0.8), [700, 1500, 2600], 0.5, 0.3)

    def whistle(r: Rng) -> Wave:
        length = samples(r.uniform(0.2, 0.8))
        clicks = repeated(r, length, 1 / r.uniform(30, 200), lambda q: burst(q, 0.002, 3000, 16000), 0.02)
        hz = r.uniform(4000, 10000) * glide(length, *r.uniform(0.7, 1.5, 3))
        return tone(hz, [1]) * swelling(length) + max(0.0, r.uniform(-0.5, 0.5)) * clicks

    every_s = (rng.uniform(1.5, 3), rng.uniform(0.3, 0.9), rng.uniform(0.4, 1))[kind]
    return repeated(rng, n, every_s, (moan, bark, whistle)[kind], 0.2, 8)


def monkey(rng: Rng, n: int) -> Wave:
    """Play hoots that climb, or chatter and screeches."""
    hoots = rng.random() < 0.5

    def hoot(r: Rng) -> Wave:
        length = samples(r.uniform(0.1, 0.35))
        return voice(r, r.uniform(250, 600) * glide(length, 0.8, 1.3, 1), [700, 1500], 0.1, 1)

    def screech(r: Rng) -> Wave:
        length = samples(r.uniform(0.08, 0.4))
        return voice(r, r.uniform(700, 1800) * glide(length, 1, 1.4, 0.9), [2000, 3800], 0.4, 0.2)

    return repeated(rng, n, rng.uniform(0.15, 0.5), hoot if hoots else screech, 0.25, 10)


def horse(rng: Rng, n: int) -> Wave:
    """Play whinnies, which tremble as they fall, and snorts."""

    def whinny(r: Rng) -> Wave:
        length = samples(r.uniform(0.9, 2))
        time = np.arange(length) / SAMPLE_RATE
        tremble = 1 + 0.12 * np.sin(2 * np.pi * r.uniform(8, 13) * time)
        hz = r.uniform(500, 900) * glide(length, 0.7, 1.2, 1, 0.7, 0.45) * tremble
        return voice(r, hz, [1000, 2200, 3400], 0.25, 0.4)

    def snort(r: Rng) -> Wave:
        length = samples(r.uniform(0.3, 0.9))
        lips = 0.4 + pulsing(length, r.uniform(15, 30), 1)
        air = coloured(r, length, 150, 5000, 3) * swelling(length, 0.3)
        return air * lips

    return repeated(rng, n, rng.uniform(1.2, 3), whinny if rng.random() < 0.7 else snort, 0.3)


def pig(rng: Rng, n: int) -> Wave:
    """Play grunts, now and then a squeal."""

    def grunt(r: Rng) -> Wave:
        length = samples(r.uniform(0.1, 0.35))
        return voice(r, r.uniform(50, 130) * glide(length, 1, 1.2, 0.8), [450, 1200, 2200], 0.7, 0.2)

    def squeal(r: Rng) -> Wave:
        length = samples(r.uniform(0.4, 1))
        return voice(r, r.uniform(600, 1400) * glide(length, 0.8, 1.3, 1.2, 0.9), [1800, 3200], 0.4, 0.1)

    return repeated(rng, n, rng.uniform(0.25, 0.8), squeal if rng.random() < 0.25 else grunt, 0.3, 8)


def chicken_rooster(rng: Rng, n: int) -> Wave:
    """Play a rooster's crow, or hens that cluck."""

    def crow_of_four(r: Rng) -> Wave:
        lengths = samples(0.15), samples(0.15), samples(0.3), samples(r.uniform(0.5, 1))
        hz = r.uniform(450, 750)
        calls = [
            voice(r, hz * glide(length, *bend), [1500, 2800, 4200], 0.25, 0.2)
            for length, bend in zip(lengths, ((0.7, 0.9), (0.9, 1), (1, 1.3), (1.3, 1.2, 0.7)), strict=True)
        ]
        return np.concatenate(calls)

    def cluck(r: Rng) -> Wave:
        length = samples(r.uniform(0.05, 0.15))
        return voice(r, r.uniform(300, 600) * glide(length, 0.8, 1.3, 0.9), [1200, 2400], 0.3, 0.2)

    crows = rng.random() < 0.5
    return repeated(
        rng, n, rng.uniform(2, 3) if crows else rng.uniform(0.15, 0.6), crow_of_four if crows else cluck
    )


def elephant(rng: Rng, n: int) -> Wave:
    """Play trumpet calls, rough and brassy."""

    def call(r: Rng) -> Wave:
        length = samples(r.uniform(0.7, 1.8))
        hz = r.uniform(280, 520) * glide(length, 0.6, 1.1, 1, 0.9, 0.6)
        return voice(r, hz, [700, 1500, 2900], 0.4, 0.15)

    return repeated(rng, n, rng.uniform(1.3, 3), call, 0.3)


def bird_of_prey(rng: Rng, n: int) -> Wave:
    """Play screams that fall, hoarse and high."""

    def scream(r: Rng) -> Wave:
        length = samples(r.uniform(0.3, 1.2))
        return voice(r, r.uniform(1400, 2800) * glide(length, 0.8, 1.1, 0.7), [2800, 4500], 0.4, 0.4)

    return repeated(rng, n, rng.uniform(0.6, 1.8), scream, 0.3)


def rodent_bat(rng: Rng, n: int) -> Wave:
    """Play squeaks."""

    def squeak(r: Rng) -> Wave:
        length = samples(r.uniform(0.03, 0.15))
        return tone(r.uniform(2500, 8000) * glide(length, *r.uniform(0.8, 1.3, 3)), [1, 0.3]) * swelling(
            length
        )

    return repeated(rng, n, rng.uniform(0.08, 0.4), squeak, 0.4, 10)


def eating(rng: Rng, n: int) -> Wave:
    """Play bites and chewing: crunches in a mouth."""

    def bite(r: Rng) -> Wave:
        length = samples(r.uniform(0.1, 0.35))
        crunch = repeated(
            r, length, 1 / r.uniform(60, 250), lambda q: burst(q, q.uniform(0.002, 0.01), 700, 9000), 0.5, 20
        )
        return through(crunch, [r.uniform(500, 900), r.uniform(1500, 2600)], 2, 0.5) * swelling(length, 0.3)

    return repeated(rng, n, rng.uniform(0.35, 0.9), bite, 0.15, 8)


ANIMALS = {
    "bird_song": bird_song, "crow": crow, "seagull": seagull, "owl": owl, "duck_goose": duck_goose,
    "bird_of_prey": bird_of_prey, "chicken_rooster": chicken_rooster, "wolf": wolf, "cat": cat,
    "big_cat": big_cat, "bear": bear, "cow": cow, "horse": horse, "donkey_camel": donkey_camel,
    "deer_moose": deer_moose, "sheep_goat": sheep_goat, "pig": pig, "elephant": elephant, "monkey": monkey,
    "marine_mammal": marine_mammal, "rodent_bat": rodent_bat, "frog": frog, "cricket": cricket,
    "bee_insect": bee_insect, "baby_cry": baby_cry, "whistling": whistling,
    "breathing_snore": breathing_snore, "cough_sneeze": cough_sneeze, "eating": eating,
}  # fmt: skip
"""What makes each class.  No dogs: barks by formula were so unlike real ones that those were lost."""
