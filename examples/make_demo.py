# /// script
# requires-python = ">=3.11"
# dependencies = ["mido", "numpy", "pedalboard", "pyloudnorm", "soundfile", "soxr"]
# ///
"""Make demo.flac and its stems: eight bars of music, a man talking about Mars, a dog who has a view on it.

Every sound is a recording from a Debian package with a free licence; README.md beside this file names them.
The packages are fetched with ``apt-get download`` into ``--cache`` (500 MB, once); FluidSynth plays the
sampled instruments. The mix is the exact sum of the stems: each is rounded to 16 bits first, then they are
added as integers.

    python examples/make_demo.py --cache ~/.cache/soundlasso-demo
"""

import argparse
import functools
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import pedalboard
import pyloudnorm
import soundfile
import soxr
from numpy.typing import NDArray

Audio = NDArray[np.float64]  # (samples, 2)
Bar = list[tuple[str, float, tuple[float, ...]]]

SAMPLE_RATE = 44100
TEMPO_BPM = 112
BEAT_S = 60 / TEMPO_BPM
SECONDS = 18.5  # eight bars and the last chord
FADE_S = 0.5
TICKS = 480  # a beat, in the MIDI files
LEGATO = 0.94  # the part of its time that a note sounds
PEAK_DB = -3.0

KIT = "hydrogen-drumkits/usr/share/hydrogen/data/drumkits/ColomboAcousticDrumkit"
VOICE = "festvox-ru/usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav"
DOG = "tuxpaint-stamps-default/usr/share/tuxpaint/stamps/animals/mammals/dogs/dog.ogg"
SOUNDFONT = "denemo-data/usr/share/sounds/sf2/A320U.sf2"


@dataclass(frozen=True)
class Place:
    """Where a stem sits in the mix."""

    loudness_lufs: float  # ITU-R BS.1770, gated: pauses do not count
    pan: float  # -1 left, 1 right
    room: float  # level of the reverberation, 0..1


PLACES = {
    "drums": Place(-18.5, 0.0, 0.05),
    "bass": Place(-22.5, -0.15, 0.03),
    "violin": Place(-21.5, 0.5, 0.15),
    "voice": Place(-18.5, 0.1, 0.04),
    "dog": Place(-20.0, -0.75, 0.08),
}

# The recorded strokes; then the bars: the stroke, its gain, and where in the bar it falls (eighths).
DRUM_SAMPLES = {
    "kick": "bassdrum-4mics-br-stereo-normal3.flac",
    "snare": "snare-opaque-2mics_normal-shot1.flac",
    "hat": "hihat-closed-1.flac",
    "crash": "crash16i__crash1.flac",
    "high tom": "tom-hi-1.flac",
    "mid tom": "tom-mid-1.flac",
    "low tom": "tom-low-1.flac",
}
GROOVE: Bar = [
    ("kick", 1.0, (0, 4, 5)),
    ("snare", 0.9, (2, 6)),
    ("hat", 1.6, (0, 2, 4, 6)),
    ("hat", 1.0, (1, 3, 5, 7)),
]
FILL: Bar = [
    ("kick", 1.0, (0, 3)),
    ("snare", 0.9, (2, 4, 4.5)),
    ("high tom", 0.9, (5, 5.5)),
    ("mid tom", 0.9, (6, 6.5)),
    ("low tom", 1.0, (7, 7.5)),
    ("hat", 1.6, (0, 1, 2, 3)),
]
ENDING: Bar = [("kick", 1.0, (0,)), ("crash", 0.8, (0,))]
ACCENTED: Bar = [*GROOVE, ("crash", 0.5, (0,))]
DRUM_BARS = [ACCENTED, GROOVE, GROOVE, FILL, ACCENTED, GROOVE, GROOVE, FILL, ENDING]

# General MIDI programs of the soundfont, counted from 0; notes as (beats, MIDI pitch).
BASS_PROGRAM, VIOLIN_PROGRAM = 33, 40
BASS = [
    *[(1.5, 38), (0.5, 38), (1, 45), (0.5, 38), (0.5, 36)],
    *[(1.5, 34), (0.5, 34), (1, 41), (0.5, 34), (0.5, 38)],
    *[(1.5, 41), (0.5, 41), (1, 36), (0.5, 41), (0.5, 40)],
    *[(1.5, 36), (0.5, 36), (1, 43), (0.5, 36), (0.5, 37)],
    *[(1.5, 38), (0.5, 38), (1, 45), (0.5, 38), (0.5, 36)],
    *[(1.5, 34), (0.5, 34), (1, 41), (0.5, 34), (0.5, 35)],
    *[(1.5, 36), (0.5, 36), (1, 43), (0.5, 36), (0.5, 35)],
    *[(1.5, 33), (0.5, 33), (1, 40), (0.5, 33), (0.5, 37)],
    (3, 38),
]
VIOLIN = [
    *[(1.5, 74), (0.5, 69), (1, 77), (1, 76)],
    *[(1.5, 74), (0.5, 77), (2, 70)],
    *[(1.5, 72), (0.5, 69), (1, 72), (1, 77)],
    *[(1.5, 76), (0.5, 79), (1, 76), (1, 72)],
    *[(0.5, 74), (0.5, 76), (1, 77), (1, 81), (0.5, 79), (0.5, 77)],
    *[(1.5, 77), (0.5, 74), (1, 70), (1, 74)],
    *[(1, 76), (1, 79), (1, 72), (1, 76)],
    *[(1.5, 79), (0.5, 77), (1, 76), (1, 73)],
    (3, 74),
]

# From Aelita by Alexei Tolstoy (1923): "In a few years a journey to Mars will be no more complicated than
# a flight from Moscow to Berlin." and "The same seeds settle on Mars and on Earth, on all the myriads of
# cooling stars."
SENTENCES = [(0.6, "ru_0032.wav"), (9.2, "ru_0046.wav")]
# When the dog barks (seconds), and how loud (gain).
BARKS = [
    *[(1.2, 0.9), (2.3, 1.0), (4.6, 0.7), (5.7, 1.0), (8.4, 1.0)],
    *[(9.4, 0.8), (11.8, 0.9), (13.0, 1.0), (15.2, 0.8), (16.3, 1.0)],
]


def fetch(cache: Path, package: str) -> None:
    """Unpack a Debian package into the cache, unless it is there."""
    target = cache / package
    if target.exists():
        return
    cache.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", package], cwd=cache, check=True)
    (archive,) = cache.glob(f"{package}_*.deb")
    subprocess.run(["dpkg", "-x", archive.name, package], cwd=cache, check=True)
    archive.unlink()


@functools.cache
def read(path: Path) -> Audio:
    """Read a recording as stereo at 44.1 kHz."""
    recording, rate = soundfile.read(path, always_2d=True)
    audio: Audio = soxr.resample(recording, rate, SAMPLE_RATE, quality="VHQ")
    return np.repeat(audio, 2, axis=1) if audio.shape[1] == 1 else audio


def lay(hits: Iterable[tuple[float, float, Audio]]) -> Audio:
    """Add recordings, each at its second and gain, on a tape of the demo's length."""
    tape = np.zeros((round(SECONDS * SAMPLE_RATE), 2))
    for start_s, gain, audio in hits:
        start = round(start_s * SAMPLE_RATE)
        audio = audio[: len(tape) - start]
        tape[start : start + len(audio)] += gain * audio
    return tape


def drums(cache: Path) -> Audio:
    """Play the bars on the kit, one recorded stroke at a time."""
    return lay(
        ((4 * bar + eighth / 2) * BEAT_S, gain, read(cache / KIT / DRUM_SAMPLES[piece]))
        for bar, strokes in enumerate(DRUM_BARS)
        for piece, gain, eighths in strokes
        for eighth in eighths
    )


def score(program: int, notes: list[tuple[float, int]]) -> mido.MidiFile:
    """Write one instrument's part, note after note."""
    midi = mido.MidiFile(ticks_per_beat=TICKS)
    midi.tracks.append(track := mido.MidiTrack())
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(TEMPO_BPM)))
    track.append(mido.Message("program_change", program=program))
    rest = 0
    for beats, pitch in notes:
        sounding = round(beats * TICKS * LEGATO)
        track.append(mido.Message("note_on", note=pitch, velocity=96, time=rest))
        track.append(mido.Message("note_off", note=pitch, time=sounding))
        rest = round(beats * TICKS) - sounding
    return midi


def instrument(cache: Path, program: int, notes: list[tuple[float, int]]) -> Audio:
    """Play notes on one instrument of the soundfont with FluidSynth, dry."""
    part, sound = cache / f"program{program}.mid", cache / f"program{program}.wav"
    score(program, notes).save(part)
    options = f"-ni -q --reverb 0 --chorus 0 --sample-rate {SAMPLE_RATE}".split()
    command = ["fluidsynth", *options, "--fast-render", str(sound), str(cache / SOUNDFONT), str(part)]
    subprocess.run(command, check=True, capture_output=True)
    return lay([(0.0, 1.0, read(sound))])


def place(audio: Audio, where: Place) -> Audio:
    """Put a stem in the room, at its side and at its loudness."""
    room = pedalboard.Reverb(room_size=0.3, wet_level=where.room, dry_level=1 - where.room, width=1.0)
    roomy = room(audio.T.astype(np.float32), SAMPLE_RATE).T.astype(np.float64)
    angle = (where.pan + 1) * np.pi / 4
    panned: Audio = roomy * np.sqrt(2) * (np.cos(angle), np.sin(angle))
    fade_samples = round(FADE_S * SAMPLE_RATE)
    panned[-fade_samples:] *= np.linspace(1, 0, fade_samples)[:, None] ** 2
    loudness_lufs = float(pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(panned))
    return panned * 10 ** ((where.loudness_lufs - loudness_lufs) / 20)


def make_stems(cache: Path) -> dict[str, Audio]:
    """Make every stem, placed, at levels whose sum peaks near -3 dBFS."""
    dry = {
        "drums": drums(cache),
        "bass": instrument(cache, BASS_PROGRAM, BASS),
        "violin": instrument(cache, VIOLIN_PROGRAM, VIOLIN),
        "voice": lay((start_s, 1.0, read(cache / VOICE / name)) for start_s, name in SENTENCES),
        "dog": lay((start_s, gain, read(cache / DOG)) for start_s, gain in BARKS),
    }
    stems = {name: place(audio, PLACES[name]) for name, audio in dry.items()}
    gain = 10 ** (PEAK_DB / 20) / np.abs(np.sum(list(stems.values()), axis=0)).max()
    return {name: gain * audio for name, audio in stems.items()}


def write(stems: dict[str, Audio], folder: Path) -> None:
    """Write the stems as 16-bit FLAC and their exact sum as the mix."""
    whole = {name: np.asarray(np.round(audio * 32768), np.int16) for name, audio in stems.items()}
    (folder / "demo.stems").mkdir(parents=True, exist_ok=True)
    for name, audio in whole.items():
        soundfile.write(folder / "demo.stems" / f"{name}.flac", audio, SAMPLE_RATE)
    mix = sum(whole.values(), np.zeros_like(whole["drums"]))  # the peak leaves 16 bits enough room
    soundfile.write(folder / "demo.flac", mix, SAMPLE_RATE)


def main() -> None:
    """Fetch what is missing, then make the demo beside this file."""
    parser = argparse.ArgumentParser(description="Make the demo recording and its stems.")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the unpacked Debian packages")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    arguments = parser.parse_args()
    cache = arguments.cache.resolve()
    for path in (KIT, VOICE, DOG, SOUNDFONT):
        fetch(cache, path.split("/")[0])
    write(make_stems(cache), arguments.out)


if __name__ == "__main__":
    main()
