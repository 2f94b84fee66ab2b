"""Synthetic engines and machines, signals, blows, bangs and households."""

from collections.abc import Callable

import numpy as np

from soundlasso.models.training.blocks import (
    Rng,
    Wave,
    burst,
    buzz,
    coloured,
    fading,
    glide,
    held,
    laid,
    pulsing,
    repeated,
    samples,
    scattered,
    struck,
    swelling,
    through,
    thump,
    tone,
    wander,
)
from soundlasso.models.training.storage import SAMPLE_RATE

Maker = Callable[[Rng, int], Wave]


# ---------------------------------------------------------------- engines and machines


def engine(low_hz: float, high_hz: float, roughness: float, noise: float, revs: float = 1.5) -> Maker:
    """Make the maker of an engine that fires between two rates."""

    def make(rng: Rng, n: int) -> Wave:
        rate = wander(rng, n, rng.uniform(0.2, 1.5), 1, rng.uniform(1.05, revs)) * rng.uniform(
            low_hz, high_hz
        )
        uneven = 1 + roughness * coloured(rng, n, 5, 60)
        fire = buzz(rng, rate * np.clip(uneven, 0.6, 1.4), rng.uniform(0.2, 0.9))
        body = through(fire, rng.uniform(80, 900, 3).tolist(), rng.uniform(1, 4), 0.3)
        wash = coloured(rng, n, 40, rng.uniform(800, 5000), rng.uniform(2, 5))
        return body / (np.std(body) + 1e-9) + noise * rng.uniform(0.3, 1.5) * wash

    return make


def passing(make: Maker) -> Maker:
    """Make the maker of what drives by."""
    return lambda rng, n: make(rng, n) * (0.05 + swelling(n, rng.uniform(0.25, 0.7)))


def traffic(rng: Rng, n: int) -> Wave:
    """Play a road: several cars at once, far and near."""
    car = engine(25, 90, 0.1, 2)
    starts = np.sort(rng.uniform(-n / 2, n, int(rng.integers(2, 6))))
    out = 0.3 * coloured(rng, n, 30, rng.uniform(400, 1200), 3)
    length = n // 2 + 1
    return out + laid(rng, n, np.maximum(starts, 0), lambda r: passing(car)(r, length), 12)


def helicopter(rng: Rng, n: int) -> Wave:
    """Play blades that chop."""
    chop = pulsing(n, rng.uniform(9, 25), rng.uniform(2, 8))
    wash = coloured(rng, n, 30, rng.uniform(600, 3000), rng.uniform(2, 5))
    return wash * (rng.uniform(0.1, 0.4) + chop) * wander(rng, n, 0.5, 0.4, 1)


def jet(rng: Rng, n: int) -> Wave:
    """Play a roar, and a whine in it."""
    roar = coloured(rng, n, 40, rng.uniform(1500, 6000), rng.uniform(1, 4))
    whine = tone(rng.uniform(1500, 5000) * wander(rng, n, 0.5, 1, 1.15), [1, 0.3])
    return (roar + rng.uniform(0, 0.4) * whine) * wander(rng, n, 0.5, 0.2, 1)


def rocket(rng: Rng, n: int) -> Wave:
    """Play a roar that bursts out and dies away."""
    roar = coloured(rng, n, 30, rng.uniform(800, 5000), rng.uniform(1, 4))
    return roar * fading(n, rng.uniform(2, 8), rng.uniform(0.02, 0.3)) * wander(rng, n, 10, 0.6, 1)


def train(rng: Rng, n: int) -> Wave:
    """Play wheels over joints, and a rumble."""
    pair = rng.uniform(0.1, 0.25)

    def wheels(r: Rng) -> Wave:
        out = np.zeros(samples(pair + 0.2))
        for at in (0, samples(pair)):
            blow = thump(r, r.uniform(80, 200), 0.1, 0.8)[: len(out) - at]
            out[at : at + len(blow)] += blow
        return out

    rumble = coloured(rng, n, 30, rng.uniform(300, 1500), rng.uniform(2, 4)) * wander(rng, n, 2, 0.5, 1)
    return repeated(rng, n, rng.uniform(0.4, 1), wheels, 0.02) + rng.uniform(0.1, 0.8) * rumble


def machine_hum(rng: Rng, n: int) -> Wave:
    """Play a motor or a transformer that runs on."""
    hz = np.full(n, rng.choice([50.0, 60.0, 100.0, 120.0, rng.uniform(40, 400)]))
    hum = buzz(rng, hz * wander(rng, n, 0.3, 1, 1.01), rng.uniform(0.6, 2), int(rng.integers(3, 30)))
    air = coloured(rng, n, 50, rng.uniform(500, 6000), rng.uniform(1, 4))
    return hum / (np.std(hum) + 1e-9) + rng.uniform(0.1, 1.5) * air


def factory(rng: Rng, n: int) -> Wave:
    """Play machines that beat time over a hum."""
    beat = repeated(rng, n, rng.uniform(0.15, 0.9), lambda r: blow_on_metal(r, 0.3), 0.01)
    return rng.uniform(0.2, 0.8) * machine_hum(rng, n) + 3 * beat


def vacuum_appliance(rng: Rng, n: int) -> Wave:
    """Play a fan at full speed."""
    whine = tone(
        np.full(n, rng.uniform(150, 700)) * wander(rng, n, 0.4, 1, 1.04), rng.uniform(0, 1, 12).tolist()
    )
    return coloured(rng, n, 150, rng.uniform(4000, 12000), rng.uniform(0, 3)) + rng.uniform(0.1, 0.7) * whine


def drill(rng: Rng, n: int) -> Wave:
    """Play a small motor that whines and strains."""
    hz = rng.uniform(120, 600) * wander(rng, n, rng.uniform(1, 4), 0.7, 1.3)
    return buzz(rng, hz, 0.4) * wander(rng, n, 2, 0.4, 1) + rng.uniform(0.2, 1) * coloured(
        rng, n, 1000, 10000
    )


def saw(rng: Rng, n: int) -> Wave:
    """Play a hand saw, to and fro."""
    rate = rng.uniform(1.2, 3)
    strokes = np.abs(np.sin(np.pi * rate * np.arange(n) / SAMPLE_RATE)) ** 0.7
    grain = coloured(rng, n, 600, rng.uniform(4000, 9000)) * (1 + 0.5 * coloured(rng, n, 50, 200))
    return grain * strokes


# ---------------------------------------------------------------- signals


def siren(rng: Rng, n: int) -> Wave:
    """Play wails, yelps, or two tones in turn."""
    time = np.arange(n) / SAMPLE_RATE
    low, high = rng.uniform(350, 700), rng.uniform(800, 1700)
    kind = rng.integers(3)
    if kind == 2:
        place = ((time * rng.uniform(0.7, 2)) % 1 < 0.5).astype(float)
    else:
        rate = rng.uniform(0.1, 0.5) if kind == 0 else rng.uniform(2, 5)
        place = 0.5 - 0.5 * np.cos(2 * np.pi * rate * time)
    weights = [1, *rng.uniform(0, 0.7, 6)]
    return tone(low * (high / low) ** place, weights) * wander(rng, n, 0.4, 0.3, 1)


def tone_burst(rng: Rng, hz: float, seconds: float, weights: list[float]) -> Wave:
    """Make one beep."""
    n = samples(seconds)
    return tone(np.full(n, hz), weights) * held(n, 40)


def beep(rng: Rng, n: int) -> Wave:
    """Play beeps of a device."""
    hz, seconds, odd = rng.uniform(400, 4000), rng.uniform(0.04, 0.4), rng.random() < 0.5
    weights = [(k % 2 or not odd) * rng.uniform(0, 1) / k for k in range(1, 9)]
    weights[0] = 1.0
    return repeated(
        rng, n, seconds + rng.uniform(0.1, 1), lambda r: tone_burst(r, hz, seconds, weights), 0.0, 0
    )


def alarm(rng: Rng, n: int) -> Wave:
    """Play beeps in groups, or a bell that a hammer trills on."""
    if rng.random() < 0.4:
        partials = sorted(rng.uniform(1200, 7000, 5).tolist())
        return repeated(rng, n, 1 / rng.uniform(10, 25), lambda r: struck(r, 0.3, partials, 0.5), 0.01, 2)
    group = samples(rng.uniform(0.4, 1.0))
    return repeated(rng, n, group / SAMPLE_RATE + rng.uniform(0.1, 0.6), lambda r: beep(rng, group), 0.0, 0)


def telephone(rng: Rng, n: int) -> Wave:
    """Play a ring, and a pause."""
    pair, rate = rng.choice([[440, 480], [400, 450], [900, 1100], [1400, 2000]]), rng.uniform(12, 25)

    def ring(r: Rng) -> Wave:
        length = samples(r.uniform(0.8, 2))
        trill = np.sin(2 * np.pi * rate * np.arange(length) / SAMPLE_RATE) > 0
        first, second = (tone(np.full(length, float(hz)), [1, 0.5, 0.3, 0.2]) for hz in pair)
        return first * trill + second * ~trill if pair[0] > 500 else first + second

    return repeated(rng, n, rng.uniform(1.5, 4), ring, 0.0, 0)


def horn(low_hz: float, high_hz: float, shortest_s: float, longest_s: float) -> Maker:
    """Make the maker of horns: a chord of a few reeds."""

    def make(rng: Rng, n: int) -> Wave:
        hz, chord = rng.uniform(low_hz, high_hz), rng.uniform(1.15, 1.6, int(rng.integers(0, 3)))

        def blast(r: Rng) -> Wave:
            length = samples(r.uniform(shortest_s, longest_s))
            reeds = [buzz(r, np.full(length, hz * ratio), 0.7, 30) for ratio in (1, *chord)]
            return np.asarray(np.sum(reeds, 0) * held(length, 12))

        return repeated(rng, n, longest_s + rng.uniform(0.2, 1.5), blast, 0.3, 3)

    return make


def train_whistle(rng: Rng, n: int) -> Wave:
    """Play a chord of pipes, and steam."""
    return horn(300, 700, 0.5, 2)(rng, n) + 0.2 * coloured(rng, n, 2000, 9000) * wander(rng, n, 1, 0.1, 1)


def sonar(rng: Rng, n: int) -> Wave:
    """Play pings that ring on."""
    hz = rng.uniform(500, 2500)
    return repeated(rng, n, rng.uniform(1.2, 3), lambda r: struck(r, 2.0, [hz, hz * 1.01], 1.8), 0.0, 0)


def radio_static(rng: Rng, n: int) -> Wave:
    """Play noise and crackle between stations."""
    noise = coloured(rng, n, 100, rng.uniform(3000, 12000)) * wander(rng, n, 3, 0.3, 1)
    crackle = scattered(rng, n, rng.uniform(2, 40), lambda r: burst(r, 0.01, 300, 8000), 20)
    whistle = tone(wander(rng, n, 2, 300, 4000), [1])
    return noise + crackle + rng.uniform(0, 0.5) * (rng.random() < 0.4) * whistle


def laser(rng: Rng, n: int) -> Wave:
    """Play shots of a game's ray gun."""
    top, low, seconds = rng.uniform(1500, 6000), rng.uniform(80, 400), rng.uniform(0.1, 0.5)

    def shot(r: Rng) -> Wave:
        length = samples(seconds)
        return tone(top * (low / top) ** np.linspace(0, 1, length) ** 0.6, [1, 0.5, 0.3]) * fading(
            length, seconds
        )

    return repeated(rng, n, rng.uniform(0.2, 1), shot, 0.3, 3)


def electric_spark(rng: Rng, n: int) -> Wave:
    """Play an arc: mains-driven crackle."""
    gates = pulsing(n, rng.choice([100, 120]), 3)
    crackle = scattered(rng, n, rng.uniform(20, 120), lambda r: burst(r, r.uniform(0.003, 0.03), 1500, 15000))
    return coloured(rng, n, 500, 12000) * gates * wander(rng, n, 5, 0.05, 1) + crackle


# ---------------------------------------------------------------- blows and things


def ratios(rng: Rng, hz: float, count: int) -> list[float]:
    """Return the partials of a bar or plate: no harmonics."""
    return [hz, *(hz * np.cumprod(rng.uniform(1.2, 2.2, count - 1)))]


def blow_on_metal(rng: Rng, decay_s: float) -> Wave:
    """Strike some piece of metal."""
    return struck(rng, decay_s * 1.2, ratios(rng, rng.uniform(300, 1800), 8), decay_s)


def metal(low_hz: float, high_hz: float, decay_s: float, every_s: float, partials: int = 9) -> Maker:
    """Make the maker of one metal or glass thing that is struck again and again."""

    def make(rng: Rng, n: int) -> Wave:
        hz = ratios(rng, rng.uniform(low_hz, high_hz), partials)
        decay = decay_s * rng.uniform(0.4, 1.6)
        return repeated(
            rng, n, every_s * rng.uniform(0.5, 1.8), lambda r: struck(r, 1.2 * decay, hz, decay), 0.15, 8
        )

    return make


def bell(low_hz: float, high_hz: float, decay_s: float, every_s: float) -> Maker:
    """Make the maker of a bell: hum, prime, tierce, quint and nominal, and what lies above."""

    def make(rng: Rng, n: int) -> Wave:
        prime = rng.uniform(low_hz, high_hz)
        shape = np.array([0.5, 1, 1.2, 1.5, 2, 2.5, 2.67, 3, 4.1, 5.2]) * rng.uniform(0.99, 1.01, 10)
        decay = decay_s * rng.uniform(0.5, 1.5)
        return repeated(
            rng,
            n,
            every_s * rng.uniform(0.5, 1.5),
            lambda r: struck(r, decay, list(prime * shape), decay),
            0.05,
            4,
        )

    return make


def chimes(rng: Rng, n: int) -> Wave:
    """Play wind chimes: a few tubes, in no order."""
    tubes = [ratios(rng, hz, 4) for hz in rng.uniform(600, 3500, int(rng.integers(4, 9)))]
    return scattered(
        rng, n, rng.uniform(1.5, 6), lambda r: struck(r, 1.5, tubes[r.integers(len(tubes))], 1.5)
    )


def coins(rng: Rng, n: int) -> Wave:
    """Play coins that fall on each other."""
    return scattered(
        rng,
        n,
        rng.uniform(4, 25),
        lambda r: struck(r, 0.3, ratios(r, r.uniform(2500, 6000), 6), r.uniform(0.05, 0.4)),
    )


def glass_break(rng: Rng, n: int) -> Wave:
    """Play a crash, and splinters."""

    def crash(r: Rng) -> Wave:
        length = samples(r.uniform(0.8, 1.8))
        shards = scattered(
            r, length, 60, lambda q: struck(q, 0.3, ratios(q, q.uniform(1500, 6000), 6), q.uniform(0.05, 0.4))
        )
        blast = burst(r, 0.15, 800, 14000)
        shards[: len(blast)] += 2 * blast
        return shards * fading(length, length / SAMPLE_RATE)

    return repeated(rng, n, rng.uniform(1.2, 3), crash, 0.2)


def wooden(rng: Rng, hz: float, decay_s: float) -> Wave:
    """Hit a piece of wood or a box."""
    return through(thump(rng, hz, decay_s, 0.8), ratios(rng, hz * 1.5, 4), 6, 0.5)


def wood(low_hz: float, high_hz: float, decay_s: float, every_s: float) -> Maker:
    """Make the maker of wooden blows."""

    def make(rng: Rng, n: int) -> Wave:
        hz = rng.uniform(low_hz, high_hz)
        return repeated(rng, n, every_s * rng.uniform(0.5, 2), lambda r: wooden(r, hz, decay_s), 0.15, 8)

    return make


def door(rng: Rng, n: int) -> Wave:
    """Play knocks, or a door that falls shut, now and then with a creak before."""
    if rng.random() < 0.4:
        return wood(90, 250, 0.12, 0.25)(rng, n)

    def shut(r: Rng) -> Wave:
        slam = np.zeros(samples(1.0))
        for at_s, size in ((0.0, 1.0), (r.uniform(0.02, 0.1), 0.6)):
            blow = through(thump(r, r.uniform(50, 130), 0.3, 1), r.uniform(100, 900, 4).tolist(), 5, 0.5)
            at = samples(at_s)
            slam[at : at + len(blow)] += size * blow[: len(slam) - at]
        return (
            np.concatenate([wood_creak(r, samples(r.uniform(0.3, 1))) * 0.3, slam])
            if r.random() < 0.4
            else slam
        )

    return repeated(rng, n, rng.uniform(1.2, 3), shut, 0.3)


def wood_creak(rng: Rng, n: int) -> Wave:
    """Play a hinge or a board: it sticks and slips."""
    slips = buzz(rng, wander(rng, n, rng.uniform(2, 8), 20, 200), 0.2, 100)
    return through(slips, rng.uniform(300, 3000, 4).tolist(), 12) * wander(rng, n, 6, 0.05, 1)


def footsteps(rng: Rng, n: int) -> Wave:
    """Play somebody who walks on wood, stone, gravel or grass."""
    ground, pitch, every_s = rng.integers(3), rng.uniform(60, 200), rng.uniform(0.3, 0.75)

    def step(r: Rng) -> Wave:
        if ground == 0:
            return wooden(r, pitch, 0.12)
        if ground == 1:
            length = samples(r.uniform(0.1, 0.25))
            return scattered(r, length, 200, lambda q: burst(q, 0.01, 1000, 9000)) * swelling(length)
        heel, toe = burst(r, 0.05, 300, 7000, 3), burst(r, 0.04, 500, 9000, 2)
        return np.concatenate([heel, np.zeros(samples(0.05)), 0.5 * toe])

    return repeated(rng, n, every_s, step, 0.06, 6)


def clicks(low_hz: float, high_hz: float, every_s: float, jitter: float) -> Maker:
    """Make the maker of small things that click twice, down and up."""

    def make(rng: Rng, n: int) -> Wave:
        hz, gap = rng.uniform(low_hz, high_hz, 3).tolist(), samples(rng.uniform(0.03, 0.12))

        def click(r: Rng) -> Wave:
            down, up = (through(burst(r, r.uniform(0.008, 0.03), 800, 12000), hz, 6, 0.5) for _ in range(2))
            return np.concatenate([down, np.zeros(gap), 0.6 * up])

        return repeated(rng, n, every_s * rng.uniform(0.6, 1.6), click, jitter, 6)

    return make


def clock_tick(rng: Rng, n: int) -> Wave:
    """Play a clock: tick, tock."""
    pair = [rng.uniform(1000, 5000, 3).tolist() for _ in range(2)]
    turns = iter(range(10**6))
    every_s = rng.choice([0.2, 0.25, 0.5, 1.0])
    return repeated(
        rng,
        n,
        every_s,
        lambda r: through(burst(r, 0.02, 800, 10000), pair[next(turns) % 2], 10, 0.2),
        0.003,
        1,
    )


def rustle(rng: Rng, n: int) -> Wave:
    """Play paper or cloth."""
    grains = scattered(
        rng, n, rng.uniform(60, 200), lambda r: burst(r, r.uniform(0.003, 0.03), 1500, 12000), 25
    )
    return grains * wander(rng, n, rng.uniform(2, 6), 0.02, 1)


def clap(rng: Rng) -> Wave:
    """Play one pair of hands."""
    hz = rng.uniform(700, 2200)
    return through(burst(rng, rng.uniform(0.02, 0.08), 400, 8000), [hz, hz * rng.uniform(1.3, 2)], 3, 0.4)


def applause(rng: Rng, n: int) -> Wave:
    """Play many hands, more and then fewer."""
    claps = scattered(rng, n, rng.uniform(30, 250), clap, 25)
    hall = coloured(rng, n, 500, 6000, 2) * rng.uniform(0, 0.3)
    return (claps + hall) * wander(rng, n, 0.5, 0.3, 1)


def hand_clap(rng: Rng, n: int) -> Wave:
    """Play one pair of hands, in time."""
    return repeated(rng, n, rng.uniform(0.25, 0.8), clap, 0.03)


def beatbox(rng: Rng, n: int) -> Wave:
    """Play a mouth that drums: lips, teeth and throat, in time."""
    step_s = rng.uniform(0.1, 0.18)

    def hit(r: Rng) -> Wave:
        kind = r.choice(("lips", "teeth", "throat"))
        if kind == "lips":
            return through(thump(r, r.uniform(60, 130), 0.15, 0.6), [r.uniform(150, 400)], 1, 0.7)
        if kind == "teeth":
            return burst(r, r.uniform(0.03, 0.15), 4000, 14000)
        return through(burst(r, r.uniform(0.08, 0.2), 500, 9000, 1), [1000, 2500], 2, 0.5)

    return repeated(rng, n, step_s * rng.choice((1, 2)), hit, 0.02, 8)


def scratch_vinyl(rng: Rng, n: int) -> Wave:
    """Play a record that is pushed and pulled: what is on it glides up and down."""

    def push(r: Rng) -> Wave:
        length = samples(r.uniform(0.08, 0.3))
        speed = swelling(length, r.uniform(0.3, 0.7)) + 0.05
        return (buzz(r, r.uniform(150, 500) * speed + 30, 0.7) + coloured(r, length, 300, 6000)) * speed

    return repeated(rng, n, rng.uniform(0.15, 0.35), push, 0.2, 6)


def bang(rng: Rng, decay_s: float, low_hz: float, high_hz: float) -> Wave:
    """Play an explosion: a crack, and a tail that darkens."""
    n = samples(decay_s)
    crack = coloured(rng, n, 100, high_hz, 1) * fading(n, min(0.15, decay_s / 3))
    tail = coloured(rng, n, low_hz, high_hz / 5, rng.uniform(2, 5)) * fading(n, decay_s, 0.01)
    boom = tone(rng.uniform(35, 80) * (1 + fading(n, 0.3)), [1, 0.3]) * fading(n, decay_s / 2)
    return np.tanh(rng.uniform(1, 4) * (crack + 0.7 * tail + rng.uniform(0.2, 1.5) * boom))


def explosion(rng: Rng, n: int) -> Wave:
    """Play bombs, near and far."""
    return repeated(
        rng, n, rng.uniform(1.5, 4), lambda r: bang(r, r.uniform(0.8, 3), 20, r.uniform(800, 8000)), 0.3
    )


def gunshot(rng: Rng, n: int) -> Wave:
    """Play single shots."""
    tail, bright = rng.uniform(0.2, 0.9), rng.uniform(4000, 14000)
    return repeated(rng, n, rng.uniform(0.4, 1.8), lambda r: bang(r, tail, 80, bright), 0.3)


def machine_gun(rng: Rng, n: int) -> Wave:
    """Play bursts of shots."""
    every_s, bright = 1 / rng.uniform(6, 16), rng.uniform(3000, 12000)

    def salvo(r: Rng) -> Wave:
        return repeated(
            r, samples(r.uniform(0.4, 1.2)), every_s, lambda q: bang(q, 0.15, 80, bright), 0.01, 2
        )

    return repeated(rng, n, rng.uniform(0.8, 2), salvo, 0.2)


def fireworks(rng: Rng, n: int) -> Wave:
    """Play a whistle up, a bang, and crackles."""

    def rise(r: Rng) -> Wave:
        length = samples(r.uniform(0.4, 1))
        whistle = tone(r.uniform(1500, 2500) * glide(length, 1, 1.5, 1.2), [1, 0.3]) * swelling(length)
        stars = scattered(r, samples(1.0), 60, lambda q: burst(q, 0.02, 1500, 14000), 20)
        return np.concatenate([0.2 * whistle, bang(r, 0.8, 30, 6000), 0.4 * stars])

    return repeated(rng, n, rng.uniform(1, 3), rise, 0.3)


def ricochet(rng: Rng, n: int) -> Wave:
    """Play a bullet that glances off."""

    def one(r: Rng) -> Wave:
        length = samples(r.uniform(0.3, 0.8))
        hz = r.uniform(2500, 5000) * glide(length, 1, 0.6, 0.3)
        return tone(hz, [1, 0.4]) * fading(length, length / SAMPLE_RATE) + 0.3 * coloured(
            r, length, 1000, 9000
        ) * fading(length, 0.1)

    return repeated(rng, n, rng.uniform(0.8, 2), one, 0.3)


def whoosh(rng: Rng, n: int) -> Wave:
    """Play something that swings or flies by."""

    def one(r: Rng) -> Wave:
        length = samples(r.uniform(0.15, 0.8))
        low = coloured(r, length, 200, r.uniform(800, 2000))
        high = coloured(r, length, 1000, r.uniform(4000, 9000))
        return low * swelling(length, 0.6) + high * swelling(length) ** 3

    return repeated(rng, n, rng.uniform(0.4, 1.5), one, 0.3)


def wings_flap(rng: Rng, n: int) -> Wave:
    """Play a bird that takes off."""
    return repeated(rng, n, 1 / rng.uniform(5, 14), lambda r: burst(r, 0.08, 150, 3000, 3), 0.1, 4)


def whip(rng: Rng, n: int) -> Wave:
    """Play a swish, and a crack."""

    def one(r: Rng) -> Wave:
        length = samples(r.uniform(0.15, 0.4))
        swish = 0.15 * coloured(r, length, 600, 6000) * np.linspace(0, 1, length) ** 3
        return np.concatenate([swish, burst(r, r.uniform(0.04, 0.15), 800, 16000)])

    return repeated(rng, n, rng.uniform(0.6, 1.8), one, 0.3)


def rockfall(rng: Rng, n: int) -> Wave:
    """Play stones that tumble."""
    stones = scattered(
        rng, n, rng.uniform(8, 40), lambda r: thump(r, r.uniform(60, 600), r.uniform(0.03, 0.2), 1), 20
    )
    rumble = 0.3 * coloured(rng, n, 25, 300, 3) * wander(rng, n, 4, 0.2, 1)
    return (stones + rumble) * wander(rng, n, 1, 0.2, 1)


def squeak(rng: Rng, n: int) -> Wave:
    """Play a rubber toy, or a tyre that skids."""

    def one(r: Rng) -> Wave:
        length = samples(r.uniform(0.1, 0.4))
        hz = r.uniform(700, 2500) * glide(length, 0.8, 1.3, 1.0) * wander(r, length, 30, 0.95, 1.05)
        return buzz(r, hz, 0.8, 12) * swelling(length)

    return repeated(rng, n, rng.uniform(0.3, 1), one, 0.3)


def car_skid(rng: Rng, n: int) -> Wave:
    """Play tyres that scream."""
    hz = rng.uniform(500, 1500) * wander(rng, n, 10, 0.85, 1.15)
    return (buzz(rng, hz, 0.7, 12) + coloured(rng, n, 800, 6000)) * wander(rng, n, 2, 0.1, 1)


THINGS: dict[str, Maker] = {
    "car_engine": engine(25, 90, 0.08, 0.6), "motorcycle": engine(40, 150, 0.15, 0.4, 2.5),
    "truck_bus": engine(14, 45, 0.1, 0.8), "tank": engine(12, 40, 0.2, 1.2),
    "chainsaw": engine(80, 220, 0.15, 0.4, 1.8), "airplane_prop": engine(50, 120, 0.02, 0.6, 1.1),
    "ship_boat": engine(4, 20, 0.1, 1.0), "traffic": traffic, "helicopter": helicopter, "jet": jet,
    "rocket": rocket, "flamethrower": rocket, "train": train, "machine_hum": machine_hum,
    "factory": factory, "mill_loom": factory, "vacuum_appliance": vacuum_appliance, "drill": drill,
    "saw": saw, "siren": siren, "beep": beep, "alarm": alarm, "telephone": telephone,
    "car_horn": horn(280, 550, 0.15, 0.8), "ship_horn": horn(60, 180, 1.2, 3),
    "war_horn": horn(90, 250, 1, 2.5), "train_whistle": train_whistle, "sonar": sonar,
    "radio_static": radio_static, "laser": laser,
    "electric_spark": electric_spark, "bell": bell(500, 2500, 1.5, 0.8),
    "church_bell": bell(120, 450, 5, 2.2),
    "chimes": chimes, "cowbell": metal(500, 1200, 0.25, 0.35, 5), "metal_hit": metal(200, 1500, 0.6, 0.8),
    "anvil": metal(800, 2500, 1.0, 0.8), "hammer": metal(300, 1500, 0.15, 0.5),
    "sword": metal(1500, 4000, 0.5, 0.6), "pickaxe_mining": metal(900, 3000, 0.12, 0.6),
    "glass_clink": metal(1800, 5000, 0.4, 0.5, 6), "triangle": metal(2500, 5000, 2.0, 0.8),
    "gong": metal(80, 250, 4.0, 2.5, 14), "coins": coins, "glass_break": glass_break, "crash": glass_break,
    "wood_hit": wood(150, 700, 0.1, 0.5), "axe_chop": wood(80, 250, 0.15, 0.9),
    "woodblock": wood(700, 2000, 0.08, 0.35), "castanets": wood(1200, 3000, 0.04, 0.12),
    "beatbox": beatbox, "scratch_vinyl": scratch_vinyl, "ball": wood(70, 200, 0.1, 0.6), "door": door,
    "wood_creak": wood_creak, "footsteps": footsteps, "typing": clicks(800, 5000, 0.14, 0.5),
    "mouse_click": clicks(2000, 6000, 0.6, 0.4), "switch_click": clicks(600, 4000, 1.0, 0.3),
    "camera": clicks(900, 5000, 1.4, 0.3), "gun_reload": clicks(500, 3000, 0.5, 0.4),
    "clock_tick": clock_tick, "paper_cards": rustle, "zipper_cloth": rustle, "applause": applause,
    "hand_clap": hand_clap, "explosion": explosion, "cannon": explosion, "gunshot": gunshot,
    "machine_gun": machine_gun, "fireworks": fireworks, "ricochet": ricochet, "whoosh": whoosh,
    "arrow": whoosh, "wings_flap": wings_flap, "whip": whip, "rockfall": rockfall, "toy_squeak": squeak,
    "car_skid": car_skid,
}  # fmt: skip
"""What makes each class."""
