"""What each shipped preset achieves on mixtures of recordings that lariat never heard: the README's table.

    python benchmarks/presets.py [--cache FOLDER] [--mixtures 8]    # all, as Markdown
    python benchmarks/presets.py podcast --demo                     # on examples/demo.flac instead

The recordings are those of the training recipe's test split: speakers, kits, instruments and effects of
packages that no training has heard.  They take 2 GB of downloads, a Debian system and fluidsynth:

    python -m soundlasso.models.training.corpus && python -m soundlasso.models.training.instruments

Without them the demo is measured, with those of its sounds that a preset asks for.

For each stem: how much nearer it is to the true one than the whole mix was (SI-SDR improvement, before
chains; the median of the mixtures, and the worst).  Of the files: how deep stems and rest null, or loudness
and true peak of the mix.  A stem that the gate silenced is counted, not measured.  A mixture is ten seconds;
what sounds in it is drawn by its number, and always the same.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
import torch

from soundlasso.bridge.audiofile import read_audio
from soundlasso.bridge.presets.hearing import PresetStream
from soundlasso.bridge.presets.library import load_preset
from soundlasso.bridge.presets.preset import Preset
from soundlasso.dsp.metrics import rms_db, si_sdr_improvement
from soundlasso.dsp.true_peak import true_peak
from soundlasso.models.separator import load_model
from soundlasso.models.stream import Audio
from soundlasso.models.training.bank import Bank, Placement, Take, Track
from soundlasso.models.training.options import cache_option
from soundlasso.models.training.storage import SAMPLE_RATE, Cache, shelves

DEMO = Path(__file__).parent.parent / "examples" / "demo.flac"
SECONDS = 10
LEVEL_DB = -26.0  # RMS of a part at 0 dB
SILENT_DB = -70.0
ROOM = "room noise"  # pink, made here: what a fan or an air conditioner leaves of silence

MAN, WOMAN, ANYONE = ("speech_male",), ("speech_female",), ("speech_male", "speech_female")
GUITARS, BASSES = ("acoustic_guitar", "electric_guitar"), ("bass_guitar",)
KEYS = ("piano", "electric_piano", "electric_organ")
BIRDS, TRAFFIC = ("bird_song",), ("car_engine", "truck_bus", "motorcycle", "train")
WATER = ("sea_waves", "water_pour", "splash", "toilet_shower")
CLATTER = ("door", "typing", "dog", "coins", "cough_sneeze", "paper_cards", "glass_clink")


class Part(NamedTuple):
    """Something that sounds in a scene: one of some classes, at a level, in the scene's band or alone."""

    classes: tuple[str, ...]
    level_db: float = 0.0
    plays_along: bool = False


class Scene(NamedTuple):
    """What a preset is tried on: parts by name, which of them each stem should hold, and the rate."""

    parts: Mapping[str, Part]
    stems: Mapping[str, tuple[str, ...]]
    rate: int = SAMPLE_RATE


DRUMS, BASS = Part(("drum_kit",), plays_along=True), Part(BASSES, plays_along=True)
GUITAR, PIANO = Part(GUITARS, plays_along=True), Part(KEYS, plays_along=True)
SINGER = Part(("singing",), 2.0)
SONG = {"drums": DRUMS, "bass": BASS, "guitar": GUITAR, "keys": PIANO, "singer": SINGER}
TALK = {"talk": Part(ANYONE), "clatter": Part(CLATTER, -6.0), "room": Part((ROOM,), -22.0)}
STREET = {"talk": Part(ANYONE), "wind": Part(("wind",), -5.0), "traffic": Part(TRAFFIC, -5.0)}

SCENES = {
    "band": Scene(
        SONG,
        {"voice": ("singer",), **{name: (name,) for name in ("drums", "bass", "guitar", "keys")}},
    ),
    "vocal-down": Scene(SONG, {"voice": ("singer",)}),
    "drums-out": Scene(SONG, {"drums": ("drums",)}),
    "remix-four": Scene(SONG, {"drums": ("drums",), "bass": ("bass",), "voice": ("singer",)}),
    "podcast": Scene(TALK, {"voice": ("talk",)}),
    "dialogue-music-effects": Scene(
        {
            "talk": Part(ANYONE), "drums": DRUMS._replace(level_db=-8), "bass": BASS._replace(level_db=-8),
            "keys": PIANO._replace(level_db=-8),
            "effect": Part(("footsteps", "door", "thunder", "explosion", "car_engine", "horse"), -5.0),
        },
        {"dialogue": ("talk",), "music": ("drums", "bass", "keys")},
    ),
    "speech-enhance": Scene(STREET, {"speech": ("talk",)}),
    "hearing-support": Scene(
        {"talk": Part(ANYONE), "crowd": Part(("crowd_chatter",), -5.0), "traffic": Part(TRAFFIC, -5.0)},
        {"voice": ("talk",)},
    ),
    "forensic-listening": Scene(
        {
            "man": Part(MAN), "woman": Part(WOMAN), "dog": Part(("dog",), -3.0),
            "engine": Part(("car_engine", "motorcycle"), -3.0), "door": Part(("door", "footsteps"), -3.0),
            "drums": DRUMS._replace(level_db=-9), "bass": BASS._replace(level_db=-9),
        },
        {"man": ("man",), "woman": ("woman",), "animal": ("dog",), "engine": ("engine",),
         "impact": ("door",), "music": ("drums", "bass")},
    ),
    "call-centre": Scene(
        {
            "talk": Part(ANYONE), "office": Part(("typing", "crowd_chatter", "door"), -8.0),
            "room": Part((ROOM,), -18.0),
        },
        {"voice": ("talk",)},
        8000,
    ),
    "video-call": Scene(
        {"talk": Part(ANYONE), "home": Part(("dog", "typing", "vacuum_appliance", "baby_cry"), -3.0)},
        {"voice": ("talk",)},
    ),
    "voice-assistant": Scene(
        STREET | {"drums": DRUMS._replace(level_db=-8), "keys": PIANO._replace(level_db=-8)},
        {"speech": ("talk",)},
        16000,
    ),
    "field-recording": Scene(
        {"birds": Part(BIRDS), "wind": Part(("wind",)), "water": Part(WATER), "traffic": Part(TRAFFIC)},
        {name: (name,) for name in ("birds", "wind", "water", "traffic")},
    ),
    "one-sound": Scene(
        {"talk": Part(ANYONE), "other": Part(("dog", "bird_song", "bell", "siren", "rain", "thunder"))},
        {"sound": ("talk",)},
    ),
}  # fmt: skip
# What of the demo stands for each part; the voice in it talks, so it stands for a singer's too.
OF_DEMO = {"drums": "drums", "bass": "bass", "talk": "voice", "singer": "voice", "man": "voice", "dog": "dog"}


class Mixture(NamedTuple):
    """A mix, and its parts by name.  Shape of each: (channels, samples)."""

    mix: Audio
    parts: dict[str, Audio]
    rate: int


def compose(scene: Scene, bank: Bank, number: int) -> Mixture:
    """Lay a scene's parts into one mixture; parts that play along come from one piece of music."""
    length = SECONDS * SAMPLE_RATE
    rng = random.Random(f"{number} {sorted(scene.parts)}")
    along = {name: part for name, part in scene.parts.items() if part.plays_along}
    parts = {name: audio for name, audio in play_along(along, bank, rng, length)} if along else {}
    for name, part in scene.parts.items():
        if not part.plays_along:
            parts[name] = play_alone(part, bank, rng, length)
    heard = {
        name: at_rate((audio * gain_to(audio, LEVEL_DB + scene.parts[name].level_db))[None], scene.rate)
        for name, audio in parts.items()
        if audio.any()
    }
    return Mixture(np.sum(list(heard.values()), axis=0), heard, scene.rate)


def play_along(
    parts: Mapping[str, Part], bank: Bank, rng: random.Random, length: int
) -> Iterator[tuple[str, Audio]]:
    """Take as many of the parts as one piece has, at one place of it."""

    def has(piece: list[Take]) -> int:
        return sum(any(take.clip.sound in part.classes for take in piece) for part in parts.values())

    most = max(map(has, bank.pieces))
    piece = rng.choice([piece for piece in bank.pieces if has(piece) == most])
    offset = rng.randrange(max(1, min(take.clip.length for take in piece) - length))
    for name, part in parts.items():
        takes = [take for take in piece if take.clip.sound in part.classes]
        if takes:
            yield name, Track(length, (Placement(takes[0], -offset),)).render(length)


def play_alone(part: Part, bank: Bank, rng: random.Random, length: int) -> Audio:
    if part.classes == (ROOM,):
        return pink_noise(length, rng.randrange(1 << 30))
    have = [sound for sound in part.classes if sound in bank.by_sound]
    return bank.track(rng.choice(have), length, rng).render(length)


def pink_noise(length: int, seed: int) -> Audio:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(length))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), length)
    return (pink / np.abs(pink).max()).astype(np.float32)


def gain_to(audio: Audio, level_db: float) -> np.float32:
    return np.float32(10 ** ((level_db - rms_db(audio)) / 20))


def at_rate(audio: Audio, rate: int, own: int = SAMPLE_RATE) -> Audio:
    return audio if rate == own else np.ascontiguousarray(soxr.resample(audio.T, own, rate).T, np.float32)


def demo(scene: Scene) -> Mixture:
    """Return the demo with those of its parts that the scene's stems ask for."""
    mix, own = read_audio(DEMO)
    files = {name: DEMO.parent / "demo.stems" / f"{part}.flac" for name, part in OF_DEMO.items()}
    asked = {part for stem in scene.stems.values() for part in stem}
    parts = {
        name: at_rate(read_audio(path)[0], scene.rate, own) for name, path in files.items() if name in asked
    }
    return Mixture(at_rate(mix, scene.rate, own), parts, scene.rate)


def improvements(preset: Preset, scene: Scene, mixture: Mixture) -> dict[str, float]:
    """Return what each stem gained, in dB, NaN if it is silent; those not all in the mixture are left out."""
    stream = PresetStream(preset, load_model(preset.model), mixture.rate, len(mixture.mix))
    late = np.concatenate([stream.process(mixture.mix), stream.flush()], axis=2)
    found = dict(zip([s.name for s in preset.stems], late[..., stream.latency_samples :], strict=True))
    gained = {}
    for stem, names in scene.stems.items():
        true = [mixture.parts[name] for name in names if name in mixture.parts]
        if len(true) == len(names):
            gain_db = si_sdr_improvement(np.sum(true, axis=0), found[stem], mixture.mix)
            gained[stem] = gain_db if rms_db(found[stem]) > SILENT_DB else np.nan
    return gained


def render(preset: Preset, mixture: Mixture) -> tuple[str, float]:
    """Render one mixture to files; say what can be measured of them, and the time for a second of sound."""
    with tempfile.TemporaryDirectory() as folder:
        mix = Path(folder, "mix.wav")
        soundfile.write(mix, mixture.mix.T, mixture.rate, subtype="FLOAT")
        started_s = time.perf_counter()
        result = preset.render(mix, Path(folder, "out"))
        took = (time.perf_counter() - started_s) / result.seconds
        if result.mixdown is None or result.mixdown.path is None:
            null_db = -200.0 if result.null_db is None else max(result.null_db, -200.0)
            return f"null {null_db:.0f} dBFS", took
        audio, rate = read_audio(result.mixdown.path)
        return f"{result.mixdown.loudness_lufs:.1f} LUFS, {true_peak(audio, rate):.1f} dBTP", took


def tell(gained: dict[str, list[float]]) -> str:
    told = []
    for stem, values in gained.items():
        heard = [value for value in values if np.isfinite(value)]
        silent = (
            f", silent in {len(values) - len(heard)} of {len(values)}" if len(heard) < len(values) else ""
        )
        worst = f" ({min(heard):+.1f})" if len(heard) > 1 else ""
        told.append(f"{stem} {np.median(heard):+.1f} dB{worst}{silent}" if heard else f"{stem}{silent}")
    return ", ".join(told) or "not in the demo"


def measure(name: str, bank: Bank | None, count: int) -> str:
    """Return a preset's row of the table."""
    preset, scene = load_preset(name, ["output.pictures=false", "output.report=false"]), SCENES[name]
    mixtures = [demo(scene)] if bank is None else [compose(scene, bank, number) for number in range(count)]
    gained: dict[str, list[float]] = {}
    for mixture in mixtures:
        for stem, gain_db in improvements(preset, scene, mixture).items():
            gained.setdefault(stem, []).append(gain_db)
    files, took = render(preset, mixtures[0])
    return f"| {name} | {tell(gained)} | {files} | {took:.2f} s |"


def open_bank(cache: Cache) -> Bank | None:
    """Open the held-out recordings; say what is missing, if they are not there."""
    if all(shelves(cache.room(room)) for room in ("recordings", "instruments")):
        return Bank(cache, "test")
    print(
        f"No held-out recordings in {cache.root}; the demo is measured instead. To get them, on Debian:\n"
        "  python -m soundlasso.models.training.corpus && python -m soundlasso.models.training.instruments\n"
    )
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("presets", nargs="*", default=list(SCENES), metavar="NAME", help="default: all")
    parser.add_argument("--mixtures", type=int, default=8, metavar="N", help="for each preset (default: 8)")
    parser.add_argument("--demo", action="store_true", help="measure on the demo")
    cache_option(parser)
    options = parser.parse_args()
    if unknown := [name for name in options.presets if name not in SCENES]:
        parser.error(f"no scene for {unknown[0]!r}; there are {', '.join(SCENES)}")
    torch.set_num_threads(1)
    bank = None if options.demo else open_bank(Cache.open(options.cache))
    print("| preset | its stems, nearer by (worst) | its files | time per second |\n|---|---|---|---|")
    for name in options.presets:
        print(measure(name, bank, options.mixtures), flush=True)


if __name__ == "__main__":
    main()
