"""Render the instruments: solo phrases on every preset, and whole pieces whose parts belong together.

Soundfonts play them, drum kits, and, for training, instruments by formula, each with a timbre of its own.

`python -m soundlasso.models.training.instruments` needs the packages of the corpus step and the
program fluidsynth.  It may be stopped at any time and goes on where it stopped.
"""

import argparse
import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from soundlasso.models.training.compose import compose, drum_part
from soundlasso.models.training.fonts import (
    TEST_FAMILY,
    Kit,
    Preset,
    font_file,
    kits_from,
    play,
    presets,
)
from soundlasso.models.training.options import cache_option, progress
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
from soundlasso.models.training.storage import (
    Cache,
    Clip,
    has_shelf,
    read_shelf,
    shelves,
    to_int16,
    write_shelf,
)
from soundlasso.models.training.vocabulary import BASSES, WANTED_MUSIC
from soundlasso.models.training.voices import VOICES, draw

SECONDS = 16.0
PHRASES_PER_RUN = 24
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


@dataclass(frozen=True)
class Task:
    """One part to be played by one preset (or by a kit, where `preset` is None)."""

    clip: Clip
    notes: Notes
    preset: Preset | None


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
        count = SOLOS[split] * (3 if preset.sound in WANTED_MUSIC else 1)
        for _ in range(count):
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
    by_split: dict[str, dict[str, list[Preset]]] = {"train": defaultdict(list), "test": defaultdict(list)}
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
    band: dict[str, list[Preset]] = defaultdict(list)
    for preset in presets():
        if preset.family != TEST_FAMILY:
            band[preset.sound].append(preset)
    for sound in VOICES:
        by_formula = Preset("", "", 0, 0, sound, FORMULA)
        band[sound] += [by_formula] * max(1, 2 * len(band[sound]))
        for number in range(solos * (3 if sound in WANTED_MUSIC else 1)):
            notes = _phrase(rng, sound, written)
            if len(notes) >= 6:
                yield Task(Clip(0, 0, sound, f"{FORMULA}:{sound}:{number}", "train"), notes, by_formula)
    for number in range(pieces):
        name = f"train-{FORMULA}-{number}"
        made_up = rng.random() < 0.5
        piece = compose(rng, name, SECONDS) if made_up else cut(rng.choice(written), rng, SECONDS)
        if len(piece.parts) >= 2:
            yield from cast(rng, replace(piece, name=name), band, "train")


def cast(rng: random.Random, piece: Piece, band: dict[str, list[Preset]], split: str) -> Iterator[Task]:
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


def runs(tasks: Sequence[Task]) -> list[tuple[str, list[Task]]]:
    """Group tasks by what plays them, so that a soundfont is loaded once for many phrases."""
    groups: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        groups[task.preset.family if task.preset else f"kits-{task.clip.split}"].append(task)
    return [
        (f"{name}-{start // PHRASES_PER_RUN:03d}", group[start : start + PHRASES_PER_RUN])
        for name, group in sorted(groups.items())
        for start in range(0, len(group), PHRASES_PER_RUN)
    ]


def render(name: str, tasks: list[Task], cache: Cache) -> int:
    """Play one run and put it on a shelf; return the clips kept."""
    shelf = cache.room("instruments") / name
    if has_shelf(shelf):
        return 0
    if tasks[0].preset is None:
        played = _play_on_kits(name, tasks, cache)
    elif tasks[0].preset.family == FORMULA:
        rng = random.Random(name)
        played = [(task.clip, draw(task.clip.sound, rng).play(task.notes, SECONDS)) for task in tasks]
    else:
        scratch = cache.room("scratch") / name
        parts = [(task.preset, task.notes) for task in tasks if task.preset]
        audio = play(font_file(cache.root / "packages", tasks[0].preset), parts, SECONDS, scratch)
        played = [(task.clip, sound) for task, sound in zip(tasks, audio, strict=True)]
    kept = [(clip, samples) for clip, audio in played if (samples := to_int16(audio)) is not None]
    return write_shelf(shelf, kept)


def _play_on_kits(name: str, tasks: list[Task], cache: Cache) -> list[tuple[Clip, np.ndarray]]:
    rng = random.Random(name)
    kits = _kits(cache.root / "recordings", tasks[0].clip.split)
    played = []
    for task in tasks:
        kit = rng.choice(kits)
        played.append((replace(task.clip, source=kit.name), kit.play(task.notes, SECONDS, rng)))
    return played


def _kits(folder: Path, split: str) -> list[Kit]:
    clips = []
    for shelf in shelves(folder, ("hydrogen-drumkits", "hydrogen-data", "sonic-pi-samples", "lmms-common")):
        samples, rows = read_shelf(shelf)
        for clip in rows:
            if clip.split == split:
                audio = samples[clip.start : clip.start + clip.length].astype(np.float32) / 32768
                clips.append((clip.source, clip.sound, audio))
    return kits_from(clips)


def main() -> None:
    """Render everything, a few runs at a time."""
    parser = argparse.ArgumentParser(prog="instruments", description=__doc__)
    cache_option(parser)
    parser.add_argument("--pieces", type=int, default=800, help="pieces in all splits (default: 800)")
    parser.add_argument(
        "--formula-pieces", type=int, default=120, help="pieces for training with players by formula (120)"
    )
    parser.add_argument(
        "--solos", type=int, default=5, help="phrases by formula a class, three times that for some (5)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs at once (default: 2)")
    options = parser.parse_args()
    cache, rng = Cache.open(options.cache), random.Random(1)
    written = melodies(cache)
    tasks = [*piece_tasks(rng, written, options.pieces), *solo_tasks(rng, written)]
    drums = [t for t in tasks if t.clip.sound == "drum_kit" and not t.clip.piece]
    tasks += [
        replace(t, preset=None, clip=replace(t.clip, source="kit")) for t in drums
    ]  # fonts' grooves on kits too
    more = [*formula_tasks(random.Random(2), written["train"], options.solos, options.formula_pieces)]
    every = runs(tasks) + [(f"more-{name}", group) for name, group in runs(more)]
    todo = rng.sample(every, len(every))  # mixing may begin before all is rendered
    with ProcessPoolExecutor(options.jobs) as pool, progress("runs", len(todo)) as advance:
        for done in as_completed([pool.submit(render, name, group, cache) for name, group in todo]):
            done.result()
            advance("")


if __name__ == "__main__":
    main()
