"""Notes before they sound: parts of pieces read from MIDI files and scores, and solo phrases made up."""

import itertools
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import mido

DRUM_CHANNEL = 9
LOWEST, HIGHEST = 21, 108  # the piano's keys
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 5, 7, 9, 10))
"""Major, minor, dorian, mixolydian: semitones above the root."""


class Note(NamedTuple):
    """One note; times in seconds from the start of its part."""

    start_s: float
    length_s: float
    pitch: int
    velocity: int


Notes = list[Note]


@dataclass(frozen=True)
class Part:
    """What one player plays; `role` is drums, bass, lead, chords or pad."""

    role: str
    notes: Notes


@dataclass(frozen=True)
class Piece:
    """Parts that belong together, in time and in tune."""

    name: str
    parts: tuple[Part, ...]


def read_midi(path: Path) -> Piece:
    """Read a MIDI file, one part a channel; parts of fewer than 20 notes are left out."""
    time_s = 0.0
    sounding: dict[tuple[int, int], tuple[float, int]] = {}
    channels: dict[int, Notes] = defaultdict(list)
    for message in mido.MidiFile(path):
        time_s += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        key = (message.channel, message.note)
        if key in sounding:
            start_s, velocity = sounding.pop(key)
            channels[message.channel].append(
                Note(start_s, max(0.04, time_s - start_s), message.note, velocity)
            )
        if message.type == "note_on" and message.velocity:
            sounding[key] = (time_s, message.velocity)
    kept = {channel: sorted(notes) for channel, notes in channels.items() if len(notes) >= 20}
    parts = (
        Part("drums" if channel == DRUM_CHANNEL else role(notes), notes) for channel, notes in kept.items()
    )
    return Piece(path.stem, tuple(parts))


def role(notes: Notes) -> str:
    """Guess what a melodic part does from its register and how many notes sound at once."""
    pitch = sum(note.pitch for note in notes) / len(notes)
    together = sum(b.start_s - a.start_s < 0.03 for a, b in itertools.pairwise(notes)) / len(notes)
    length_s = sum(note.length_s for note in notes) / len(notes)
    if pitch < 50 and together < 0.3:
        return "bass"
    if together > 0.3:
        return "pad" if length_s > 1.2 else "chords"
    return "lead"


def excerpt(notes: Notes, start_s: float, seconds: float) -> Notes:
    """Cut out notes that begin within a span, moved to time 0 and ended with it."""
    return [
        Note(n.start_s - start_s, min(n.length_s, seconds - n.start_s + start_s), n.pitch, n.velocity)
        for n in notes
        if start_s <= n.start_s < start_s + seconds
    ]


def cut(piece: Piece, rng: random.Random, seconds: float) -> Piece:
    """Cut the same span out of all parts of a piece; parts that rest there are dropped."""
    last_s = max((part.notes[-1].start_s for part in piece.parts), default=0.0)
    start_s = rng.uniform(0, max(0.0, last_s - seconds))
    parts = [Part(part.role, excerpt(part.notes, start_s, seconds)) for part in piece.parts]
    return Piece(f"{piece.name}@{start_s:.1f}", tuple(part for part in parts if len(part.notes) >= 6))


def top_line(notes: Notes) -> Notes:
    """Keep the highest of notes that begin together: what one wind or voice can play."""
    kept: Notes = []
    for note in sorted(notes, key=lambda n: (round(n.start_s / 0.03), -n.pitch)):
        if not kept or note.start_s - kept[-1].start_s > 0.03:
            kept.append(note)
    return kept


def into_register(notes: Notes, centre: float, rng: random.Random, transpose: bool = False) -> Notes:
    """Shift notes by octaves towards `centre`, and by a few semitones more where the key is free."""
    mean = sum(note.pitch for note in notes) / max(1, len(notes))
    shift = 12 * round((centre - mean) / 12) + (rng.randrange(-5, 6) if transpose else 0)
    return [note._replace(pitch=_fold(note.pitch + shift)) for note in notes]


def _fold(pitch: int) -> int:
    while pitch > HIGHEST:
        pitch -= 12
    while pitch < LOWEST:
        pitch += 12
    return pitch


def solo(rng: random.Random, seconds: float, modes: Sequence[str]) -> Notes:
    """Make up a phrase that walks through a scale; `modes` out of melody, chords, arpeggio, strum."""
    root, scale = rng.randrange(12), rng.choice(SCALES)
    beat_s = 60 / rng.uniform(60, 160)
    degree, base, time_s = rng.randrange(7), rng.randrange(-4, 4), 0.0
    notes: Notes = []
    while time_s < seconds:
        mode = rng.choice(modes)
        for _ in range(rng.choice((4, 8))):
            length_s = beat_s * rng.choice((0.25, 0.5, 0.5, 1, 1, 2))
            if mode == "melody":
                degree = max(-6, min(9, degree + rng.choice((-2, -1, -1, 0, 1, 1, 2, 4, -4))))
                held_s = length_s * rng.uniform(0.5, 1.1)
                notes.append(Note(time_s, held_s, scale_pitch(root, scale, degree), rng.randrange(50, 120)))
            else:
                degrees = [base, base + 2, base + 4, *([base + 7] if rng.random() < 0.4 else [])]
                notes += chord([scale_pitch(root, scale, d) for d in degrees], time_s, length_s, mode, rng)
                base = rng.randrange(-4, 4) if rng.random() < 0.5 else base
            time_s += length_s
        time_s += beat_s if rng.random() < 0.3 else 0
    return excerpt(sorted(notes), 0, seconds)


def scale_pitch(root: int, scale: Sequence[int], degree: int) -> int:
    """Return the MIDI pitch of a scale degree; degree 0 is the root above middle C."""
    return 60 + root + 12 * (degree // 7) + scale[degree % 7]


def chord(pitches: Sequence[int], start_s: float, length_s: float, mode: str, rng: random.Random) -> Notes:
    """Play pitches together, one by one over the length (arpeggio), or nearly together (strum)."""
    velocity = rng.randrange(50, 115)
    apart_s = {"arpeggio": length_s / len(pitches), "strum": 0.012}.get(mode, 0.0)
    held_s = length_s * (1.5 if mode == "arpeggio" else 1)
    return [
        Note(start_s + i * apart_s, held_s, pitch, max(1, velocity + rng.randrange(-8, 9)))
        for i, pitch in enumerate(pitches)
    ]
