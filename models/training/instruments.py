"""Render the instruments: solo phrases on every preset, and whole pieces whose parts belong together.

`python -m soundlasso.models.training.instruments` needs the packages of the corpus step and the
program fluidsynth.  It may be stopped at any time and goes on where it stopped.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np

from soundlasso.models.training.casting import (
    FORMULA,
    SECONDS,
    Task,
    formula_tasks,
    melodies,
    pair_tasks,
    piece_tasks,
    solo_tasks,
)
from soundlasso.models.training.fonts import Kit, Preset, font_file, kits_from, play
from soundlasso.models.training.options import cache_option, progress
from soundlasso.models.training.phrases import Notes
from soundlasso.models.training.storage import (
    Cache,
    Clip,
    has_shelf,
    read_shelf,
    shelves,
    to_int16,
    write_shelf,
)
from soundlasso.models.training.voices import draw

PHRASES_PER_RUN = 24


def runs(tasks: Sequence[Task]) -> list[tuple[str, list[Task]]]:
    """Group tasks by what plays them, so that a soundfont is loaded once for many phrases."""
    groups: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        groups[task.players].append(task)
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
    else:
        rng = random.Random(name)
        audio = perform([(task.preset, task.notes) for task in tasks if task.preset], name, rng, cache)
        if tasks[0].second:
            parts = [(task.second, task.notes) for task in tasks if task.second]
            others = perform(parts, name, rng, cache)
            audio = [unison(one, other, rng) for one, other in zip(audio, others, strict=True)]
        played = [(task.clip, sound) for task, sound in zip(tasks, audio, strict=True)]
    kept = [(clip, samples) for clip, audio in played if (samples := to_int16(audio)) is not None]
    return write_shelf(shelf, kept)


def perform(
    parts: Sequence[tuple[Preset, Notes]], name: str, rng: random.Random, cache: Cache
) -> list[np.ndarray]:
    """Play parts on presets of one family.  Shape: each (SECONDS * 44100,) float32."""
    if parts[0][0].family == FORMULA:
        return [draw(preset.sound, rng).play(notes, SECONDS) for preset, notes in parts]
    font = font_file(cache.root / "packages", parts[0][0])
    return play(font, parts, SECONDS, cache.room("scratch") / name)


def unison(one: np.ndarray, other: np.ndarray, rng: random.Random) -> np.ndarray:
    """Mix two performances of one part, neither of them more than 10 dB under the other.

    Shape: (samples,) each -> (samples,) float32.
    """
    level_db = rng.uniform(-10, 10)
    size, other_size = (float(np.sqrt(np.mean(audio**2))) + 1e-6 for audio in (one, other))
    return np.asarray(one / size + other / other_size * 10 ** (level_db / 20), np.float32)


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
    parser.add_argument(
        "--pair-pieces", type=int, default=240, help="pieces for training with players in pairs (240)"
    )
    parser.add_argument(
        "--pair-solos", type=int, default=8, help="phrases by pairs a class, three times that for some (8)"
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
    pairs = [*pair_tasks(random.Random(3), written["train"], options.pair_solos, options.pair_pieces)]
    every = runs(tasks)
    every += [
        (f"{kind}-{name}", group)
        for kind, extra in (("more", more), ("pairs", pairs))
        for name, group in runs(extra)
    ]
    todo = rng.sample(every, len(every))  # mixing may begin before all is rendered
    with ProcessPoolExecutor(options.jobs) as pool, progress("runs", len(todo)) as advance:
        for done in as_completed([pool.submit(render, name, group, cache) for name, group in todo]):
            done.result()
            advance("")


if __name__ == "__main__":
    main()
