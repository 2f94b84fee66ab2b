"""Make up whole pieces: drums, bass, chords, pad and lead over one chord progression, in time and in tune."""

import random

from soundlasso.models.training.phrases import SCALES, Note, Notes, Part, Piece, chord, scale_pitch

PROGRESSIONS = (
    (0, 4, 5, 3), (0, 3, 4, 4), (5, 3, 0, 4), (0, 5, 3, 4), (1, 4, 0, 0), (0, 0, 3, 4), (0, 6, 5, 4),
    (0, 2, 3, 4),
)  # fmt: skip
"""Chords by scale degree, one a bar."""

KICK, SNARE, RIM, CLOSED_HAT, OPEN_HAT, CRASH, RIDE, TAMBOURINE = 36, 38, 37, 42, 46, 49, 51, 54
TOMS = (41, 45, 48, 50)
STEPS = 16  # sixteenths of a 4/4 bar


def compose(rng: random.Random, name: str, seconds: float) -> Piece:
    """Make up a piece of four to six parts; each part may rest for some bars."""
    step_s = 60 / rng.uniform(70, 170) / 4
    root, scale, progression = rng.randrange(12), rng.choice(SCALES), rng.choice(PROGRESSIONS)
    bars = [progression[i % 4] for i in range(int(seconds / (step_s * STEPS)) + 1)]
    key = (root, scale)
    parts = [Part("drums", drum_part(rng, len(bars), step_s)), Part("bass", _bass(rng, bars, step_s, key))]
    parts += [Part("chords", _chords(rng, bars, step_s, key)) for _ in range(rng.choice((1, 1, 2)))]
    parts += [Part("lead", _lead(rng, bars, step_s, key)) for _ in range(rng.choice((1, 1, 2)))]
    if rng.random() < 0.5:
        parts.append(Part("pad", _pad(rng, bars, step_s, key)))
    cut = [Part(part.role, [n for n in sorted(part.notes) if n.start_s < seconds]) for part in parts]
    return Piece(name, tuple(part for part in cut if len(part.notes) >= 4))


def drum_part(rng: random.Random, n_bars: int, step_s: float) -> Notes:
    """Make up a groove: a kick and a snare pattern, hats or ride, now and then a fill."""
    kick = [
        i
        for i in range(STEPS)
        if rng.random() < (0.95 if i == 0 else 0.6 if i == 8 else 0.2 if i % 2 == 0 else 0.06)
    ]
    snare_at = rng.choice(((4, 12), (4, 12), (8,), (4, 12, 15), (2, 6, 10, 14)))
    snare = rng.choice((SNARE, SNARE, SNARE, RIM))
    ticks, tick = rng.choice((1, 2, 2, 4)), rng.choice((CLOSED_HAT, CLOSED_HAT, RIDE, TAMBOURINE))
    swing = rng.choice((0.0, 0.0, 0.2))
    notes: Notes = []
    for bar in range(n_bars):
        hits = [(i, KICK) for i in kick] + [(i, snare) for i in snare_at]
        hits += [
            (i, OPEN_HAT if rng.random() < 0.06 else tick)
            for i in range(0, STEPS, ticks)
            if rng.random() < 0.93
        ]
        if bar % 4 == 0 and rng.random() < 0.5:
            hits.append((0, CRASH))
        if bar % 4 == 3 and rng.random() < 0.5:
            hits = [hit for hit in hits if hit[0] < 12] + [
                (i, rng.choice((*TOMS, SNARE))) for i in range(12, 16)
            ]
        notes += [_hit(rng, (bar * STEPS + i + (swing if i % 2 else 0)) * step_s, pitch) for i, pitch in hits]
    return sorted(notes)


def _hit(rng: random.Random, start_s: float, pitch: int) -> Note:
    return Note(max(0.0, start_s + rng.gauss(0, 0.004)), 0.1, pitch, rng.randrange(60, 120))


Key = tuple[int, tuple[int, ...]]


def _bass(rng: random.Random, bars: list[int], step_s: float, key: Key) -> Notes:
    every = rng.choice((2, 4, 4, 8))
    walk = rng.choice(((0,), (0, 0, 4), (0, 2, 4), (0, 7)))
    notes: Notes = []
    for bar, degree in enumerate(bars):
        for i in range(0, STEPS, every):
            if i and rng.random() < 0.12:
                continue
            above = degree + (0 if i == 0 else rng.choice(walk))
            pitch = scale_pitch(*key, above) - 24
            notes.append(
                Note(
                    (bar * STEPS + i) * step_s,
                    every * step_s * rng.uniform(0.5, 1),
                    pitch,
                    rng.randrange(70, 115),
                )
            )
    return notes


def _chords(rng: random.Random, bars: list[int], step_s: float, key: Key) -> Notes:
    mode = rng.choice(("chords", "strum", "arpeggio"))
    at = rng.choice(((0, 8), (0, 4, 8, 12), (0, 6, 12), (0, 3, 6, 8, 11, 14), (4, 12), (2, 6, 10, 14)))
    notes: Notes = []
    for bar, degree in enumerate(bars):
        if rng.random() < 0.06:
            continue
        pitches = [scale_pitch(*key, degree + d) for d in rng.choice(((0, 2, 4), (0, 2, 4, 6), (-3, 0, 2)))]
        for i, step in enumerate(at):
            length = ((*at, STEPS)[i + 1] - step) * step_s
            notes += chord(pitches, (bar * STEPS + step) * step_s, length, mode, rng)
    return notes


def _lead(rng: random.Random, bars: list[int], step_s: float, key: Key) -> Notes:
    degree, busy = rng.randrange(0, 8), rng.uniform(0.3, 0.8)
    notes: Notes = []
    for bar, root in enumerate(bars):
        if rng.random() < 0.15:
            continue
        for i in range(0, STEPS, 2):
            if rng.random() > busy:
                continue
            on_beat = i % 8 == 0
            degree = root + rng.choice((0, 2, 4, 7)) if on_beat else degree + rng.choice((-2, -1, 1, 2))
            degree = max(-3, min(11, degree))
            length_s = step_s * rng.choice((1.5, 2, 2, 4, 6))
            pitch = scale_pitch(*key, degree) + 12
            notes.append(Note((bar * STEPS + i) * step_s, length_s, pitch, rng.randrange(60, 118)))
    return notes


def _pad(rng: random.Random, bars: list[int], step_s: float, key: Key) -> Notes:
    bar_s = STEPS * step_s
    return [
        Note(bar * bar_s, bar_s * 0.98, scale_pitch(*key, degree + d), rng.randrange(50, 90))
        for bar, degree in enumerate(bars)
        for d in (0, 2, 4)
    ]
