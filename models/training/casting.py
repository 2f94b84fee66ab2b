"""Who plays what: solo phrases for every preset, and the parts of pieces for players that suit them.

Soundfonts play, drum kits and, for training, instruments by formula, each with a timbre of its own, and
pairs: two instruments of one class in unison sound like neither.
"""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from soundlasso.models.training.compose import compose, drum_part
from soundlasso.models.training.fonts import TEST_FAMILY, Preset, presets
from soundlasso.models.training.phrases import (
    Notes,
    Part,
    Piece,
    cut,
    into_register,
    read_midi,
    solo,
    top_line,
)
from soundlasso.models.training.scores import read_scores
from soundlasso.models.training.storage import TOGETHER, Cache, Clip
from soundlasso.models.training.vocabulary import BASSES, WANTED_MUSIC
from soundlasso.models.training.voices import VOICES

SECONDS = 16.0
FORMULA = "formula"
"""The family of instruments that no soundfont holds."""
SOLOS = {"train": 3, "valid": 1, "test": 1}
"""Solo phrases a preset; those people ask for most get three times as many."""

CENTRE = {
    **dict.fromkeys(("bass_guitar", "double_bass", "synth_bass"), 38), "tuba": 40, "timpani": 45, "cello": 50,
    "trombone": 52, "french_horn": 55, "pipe_organ": 58, "oboe_bassoon": 64, "viola": 60, "violin": 72,
    "flute": 76,
    "recorder_panflute": 74, "trumpet": 67, "clarinet": 66, "saxophone": 62, "harmonica": 68, "mallets": 72,
    "music_box": 76, "distorted_guitar": 52, "electric_guitar": 56, "acoustic_guitar": 57, "kalimba": 68,
}  # fmt: skip
"""Middle of each instrument's register, a MIDI pitch (others: middle C)."""
ONE_VOICE = frozenset(
    (*BASSES, "tuba", "trombone", "french_horn", "oboe_bassoon", "flute", "recorder_panflute", "trumpet",
     "clarinet",
     "saxophone", "harmonica", "bagpipe", "didgeridoo")
)  # fmt: skip
PLAYERS = {
    "bass": (*BASSES, "bass_guitar", "bass_guitar", "tuba", "cello"),
    "lead": ("violin", "flute", "trumpet", "saxophone", "clarinet", "oboe_bassoon", "synth_lead",
             "electric_guitar",
             "distorted_guitar", "piano", "recorder_panflute", "harmonica", "accordion", "french_horn",
             "trombone",
             "cello", "viola", "mallets", "electric_organ", "choir", "plucked_folk", "acoustic_guitar"),
    "chords": ("piano", "piano", "acoustic_guitar", "acoustic_guitar", "electric_guitar", "distorted_guitar",
               "electric_piano", "electric_organ", "pipe_organ", "strings", "harpsichord", "accordion",
               "brass",
               "plucked_folk", "harp", "mallets", "pizzicato", "koto_shamisen", "sitar", "steel_drum"),
    "pad": ("strings", "synth_pad", "choir", "pipe_organ", "electric_organ", "brass"),
}  # fmt: skip
"""Classes that can take each role."""

Band = dict[str, list[Preset]]
"""The instruments at hand, by class."""


@dataclass(frozen=True)
class Task:
    """One part to be played by one preset (or by a kit, where `preset` is None), or by two in unison."""

    clip: Clip
    notes: Notes
    preset: Preset | None
    second: Preset | None = None

    @property
    def players(self) -> str:
        """Name the families that play it, or the kits."""
        if not self.preset:
            return f"kits-{self.clip.split}"
        return f"{self.preset.family}+{self.second.family}" if self.second else self.preset.family


def split_of(family: str, number: int) -> str:
    """Return the split of a phrase: the test family tests, one in sixteen others validates."""
    if family == TEST_FAMILY:
        return "test"
    return "valid" if number % 16 == 15 else "train"


def melodies(cache: Cache) -> dict[str, list[Piece]]:
    """Read all written pieces and share them out by split: one in eight tests, one in sixteen validates."""
    files = sorted((cache.root / "packages" / "openttd-openmsx").rglob("*.mid"))
    pieces = [read_midi(path) for path in files] + read_scores(cache)
    shared: dict[str, list[Piece]] = defaultdict(list)
    for i, piece in enumerate(pieces):
        shared["test" if i % 8 == 3 else "valid" if i % 16 == 7 else "train"].append(piece)
    return shared


def solo_tasks(rng: random.Random, written: dict[str, list[Piece]]) -> Iterator[Task]:
    """Yield solo phrases for every preset, most from written parts, the rest made up."""
    numbers = itertools.count()
    for preset in presets():
        split = split_of(preset.family, 0)
        for _ in range(_count(SOLOS[split], preset.sound)):
            split = split_of(preset.family, next(numbers))
            notes = _phrase(rng, preset.sound, written[split])
            if len(notes) >= 6:
                yield Task(Clip(0, 0, preset.sound, preset.source, split), notes, preset)


def _phrase(rng: random.Random, sound: str, written: Sequence[Piece]) -> Notes:
    drums = sound == "drum_kit"
    if rng.random() < 0.4:
        if drums:
            return drum_part(rng, 12, 60 / rng.uniform(70, 170) / 4)
        modes = ("melody",) if sound in ONE_VOICE else ("melody", "chords", "arpeggio", "strum")
        return _for_player(rng, sound, solo(rng, SECONDS, modes), transpose=True)
    parts = [part for part in cut(rng.choice(written), rng, SECONDS).parts if (part.role == "drums") == drums]
    if not parts:
        return []
    return (
        rng.choice(parts).notes if drums else _for_player(rng, sound, rng.choice(parts).notes, transpose=True)
    )


def _for_player(rng: random.Random, sound: str, notes: Notes, transpose: bool = False) -> Notes:
    notes = top_line(notes) if sound in ONE_VOICE else notes
    centre = CENTRE.get(sound, 60) + rng.uniform(-5, 5)
    return into_register(notes, centre, rng, transpose)


def piece_tasks(rng: random.Random, written: dict[str, list[Piece]], count: int) -> Iterator[Task]:
    """Yield the parts of `count` pieces, of 16 in turn 12 train, 3 test, 1 valid; half are made up."""
    by_split: dict[str, Band] = {"train": defaultdict(list), "test": defaultdict(list)}
    for preset in presets():
        by_split["test" if preset.family == TEST_FAMILY else "train"][preset.sound].append(preset)
    for number in range(count):
        split = "valid" if number % 16 == 15 else "test" if number % 16 >= 12 else "train"
        name = f"piece{number}"
        made_up = rng.random() < 0.5
        piece = compose(rng, name, SECONDS) if made_up else cut(rng.choice(written[split]), rng, SECONDS)
        if len(piece.parts) >= 2:
            yield from cast(
                rng,
                replace(piece, name=f"{split}-{number}"),
                by_split["test" if split == "test" else "train"],
                split,
            )


def formula_tasks(rng: random.Random, written: Sequence[Piece], solos: int, pieces: int) -> Iterator[Task]:
    """Yield phrases and pieces for training, played by formula; in pieces soundfonts play along."""
    band = _training_band()
    for sound in VOICES:
        by_formula = Preset("", "", 0, 0, sound, FORMULA)
        band[sound] += [by_formula] * max(1, 2 * len(band[sound]))
        for number in range(_count(solos, sound)):
            notes = _phrase(rng, sound, written)
            if len(notes) >= 6:
                yield Task(Clip(0, 0, sound, f"{FORMULA}:{sound}:{number}", "train"), notes, by_formula)
    yield from _pieces(rng, written, band, FORMULA, pieces)


def pair_tasks(rng: random.Random, written: Sequence[Piece], solos: int, pieces: int) -> Iterator[Task]:
    """Yield phrases and pieces for training in which two instruments of a class play in unison.

    They are of different families, and between them lie timbres that neither has.
    """
    band = _training_band()
    for sound in VOICES:
        band[sound].append(Preset("", "", 0, 0, sound, FORMULA))
    for sound in sorted(band):
        for _ in range(_count(solos, sound)):
            notes, preset = _phrase(rng, sound, written), rng.choice(band[sound])
            if len(notes) >= 6:
                yield _paired(rng, Task(Clip(0, 0, sound, preset.source, "train"), notes, preset), band)
    for task in _pieces(rng, written, band, "pairs", pieces):
        yield _paired(rng, task, band)


def _paired(rng: random.Random, task: Task, band: Band) -> Task:
    """Let another family's instrument of the same class play along, if there is one."""
    others = [p for p in band[task.clip.sound] if task.preset and p.family != task.preset.family]
    if not others:
        return task
    second = rng.choice(others)
    return replace(
        task, second=second, clip=replace(task.clip, source=f"{task.clip.source}{TOGETHER}{second.source}")
    )


def _training_band() -> Band:
    """Return the presets by class, without those kept for testing."""
    band: Band = defaultdict(list)
    for preset in presets():
        if preset.family != TEST_FAMILY:
            band[preset.sound].append(preset)
    return band


def _count(solos: int, sound: str) -> int:
    return solos * (3 if sound in WANTED_MUSIC else 1)


def _pieces(
    rng: random.Random, written: Sequence[Piece], band: Band, kind: str, count: int
) -> Iterator[Task]:
    """Yield the parts of `count` pieces for training, half of them made up."""
    for number in range(count):
        name = f"train-{kind}-{number}"
        made_up = rng.random() < 0.5
        piece = compose(rng, name, SECONDS) if made_up else cut(rng.choice(written), rng, SECONDS)
        if len(piece.parts) >= 2:
            yield from cast(rng, replace(piece, name=name), band, "train")


def cast(rng: random.Random, piece: Piece, band: Band, split: str) -> Iterator[Task]:
    """Give each part of a piece a player; no class plays twice, drums go to a font or to a kit."""
    shift = rng.randrange(-5, 7)  # the whole piece in another key
    taken: set[str] = set()
    for part in rng.sample(piece.parts, min(6, len(piece.parts))):
        sounds = ["drum_kit"] if part.role == "drums" else [s for s in PLAYERS[part.role] if s in band]
        free = [sound for sound in sounds if sound not in taken]
        if not free:
            continue
        sound = rng.choice(free)
        taken.add(sound)
        preset = None if sound == "drum_kit" and rng.random() < 0.6 else rng.choice(band[sound])
        clip = Clip(0, 0, sound, preset.source if preset else "kit", split, piece.name, part.role)
        yield Task(clip, _in_key(rng, part, sound, shift), preset)


def _in_key(rng: random.Random, part: Part, sound: str, shift: int) -> Notes:
    if part.role == "drums":
        return part.notes
    moved = [note._replace(pitch=note.pitch + shift) for note in part.notes]
    return _for_player(rng, sound, moved)
