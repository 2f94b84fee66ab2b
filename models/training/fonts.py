"""Play parts on soundfonts (by the fluidsynth program) and on drum kits of single recordings."""

import csv
import io
import random
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np

from soundlasso.dsp.errors import SoundlassoError
from soundlasso.models.training.phrases import DRUM_CHANNEL, Note, Notes
from soundlasso.models.training.recordings import package_data
from soundlasso.models.training.storage import SAMPLE_RATE
from soundlasso.models.training.vocabulary import MUSICAL

DRUM_BANK = 128
TEST_FAMILY = "a320"
RING_S = 1.0  # silence after a phrase, for its last notes
_TICKS_PER_S = 960

GM_DRUMS: Mapping[int, str] = {
    **dict.fromkeys((35, 36), "kick_drum"), **dict.fromkeys((38, 40), "snare_drum"), 37: "rim_stick",
    39: "hand_clap",
    **dict.fromkeys((42, 44, 46), "hi_hat"), **dict.fromkeys((49, 51, 52, 53, 55, 57, 59), "cymbal"),
    **dict.fromkeys((41, 43, 45, 47, 48, 50), "tom"), 54: "tambourine", 56: "cowbell",
}  # fmt: skip
"""General MIDI's drum keys as classes of single drum recordings."""


@dataclass(frozen=True)
class Preset:
    """One instrument of one soundfont; `family` names the sample library it comes from."""

    package: str
    file: str
    bank: int
    program: int
    sound: str
    family: str

    @property
    def source(self) -> str:
        """Name the instrument across the bank."""
        return f"{self.family}:{self.bank}:{self.program}"


def presets() -> list[Preset]:
    """Return the soundfonts' musical instruments."""
    rows = csv.DictReader(io.StringIO(package_data("presets.csv").decode()))
    found = [
        Preset(r["package"], r["file"], int(r["bank"]), int(r["program"]), r["class"], r["family"])
        for r in rows
    ]
    return [p for p in found if p.sound in MUSICAL and (p.bank == DRUM_BANK) == (p.sound == "drum_kit")]


def font_file(packages: Path, preset: Preset) -> Path:
    """Find the soundfont a preset lives in among the unpacked packages."""
    found = sorted((packages / preset.package).rglob(preset.file))
    if not found:
        raise SoundlassoError(
            f"no soundfont {preset.file!r} in package {preset.package!r}; run the corpus step"
        )
    return found[0]


def play(
    font: Path, parts: Sequence[tuple[Preset, Notes]], seconds: float, scratch: Path
) -> list[np.ndarray]:
    """Play parts of equal length one after another in a single run of fluidsynth, dry.

    Shape: each (seconds * 44100,) float32, mono.
    """
    midi, raw = scratch.with_suffix(".mid"), scratch.with_suffix(".raw")
    _write_midi(midi, parts, seconds + RING_S)
    arguments = ["fluidsynth", "-ni", "-q", "-g", "0.4", "-R", "0", "-C", "0", "-r", str(SAMPLE_RATE)]
    arguments += ["-O", "float", "-T", "raw", "-F", str(raw), str(font), str(midi)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode or not raw.exists():
        raise SoundlassoError(f"fluidsynth failed on {font.name!r} with {done.stderr.strip()[-300:]!r}")
    audio = np.fromfile(raw, "<f4").reshape(-1, 2).mean(1)
    midi.unlink()
    raw.unlink()
    length, stride = round(seconds * SAMPLE_RATE), round((seconds + RING_S) * SAMPLE_RATE)
    audio = np.pad(audio, (0, max(0, stride * len(parts) - len(audio))))
    return [audio[i * stride : i * stride + length] for i in range(len(parts))]


def _write_midi(path: Path, parts: Sequence[tuple[Preset, Notes]], stride_s: float) -> None:
    events: list[tuple[float, int, mido.Message]] = []  # time, order within it, message
    for i, (preset, notes) in enumerate(parts):
        channel = DRUM_CHANNEL if preset.bank == DRUM_BANK else 0
        start_s = i * stride_s
        events.append((start_s, 0, mido.Message("control_change", channel=channel, control=120)))
        if channel == 0:
            events.append((start_s, 1, mido.Message("control_change", control=0, value=preset.bank)))
        events.append((start_s, 2, mido.Message("program_change", channel=channel, program=preset.program)))
        for note in notes:
            on_s, off_s = start_s + 0.01 + note.start_s, start_s + 0.01 + note.start_s + note.length_s
            on = mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)
            events.append((on_s, 4, on))
            events.append((off_s, 3, mido.Message("note_off", channel=channel, note=note.pitch)))
    events.append((len(parts) * stride_s, 5, mido.Message("control_change", control=120)))
    file, track, last = mido.MidiFile(ticks_per_beat=_TICKS_PER_S // 2), mido.MidiTrack(), 0
    file.tracks.append(track)
    for time_s, _, message in sorted(events, key=lambda event: event[:2]):
        now = round(time_s * _TICKS_PER_S)
        track.append(message.copy(time=now - last))
        last = now
    file.save(path)


class Kit:
    """A drum kit of single recordings; it plays the notes for which it has a piece.

    Parameters
    ----------
    name
        The kit's name across the bank.
    pieces
        By class, the recordings of that piece, mono float32.
    """

    def __init__(self, name: str, pieces: Mapping[str, Sequence[np.ndarray]]) -> None:
        self.name = name
        self._pieces = pieces

    @property
    def is_whole(self) -> bool:
        """Tell whether there is enough of a kit to play a groove."""
        return bool(self._pieces.get("kick_drum")) and bool(self._pieces.get("snare_drum"))

    def play(self, notes: Notes, seconds: float, rng: random.Random) -> np.ndarray:
        """Play a part; one recording stands for a key all through, so the kit keeps its sound.

        Shape: (seconds * 44100,) float32, mono.
        """
        out = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
        chosen: dict[int, np.ndarray] = {}
        for note in notes:
            pieces = self._pieces.get(GM_DRUMS.get(note.pitch, ""), ())
            if pieces and note.pitch not in chosen:
                chosen[note.pitch] = rng.choice(pieces)
            if note.pitch in chosen:
                self._hit(out, chosen[note.pitch], note)
        return out

    @staticmethod
    def _hit(out: np.ndarray, recording: np.ndarray, note: Note) -> None:
        start = round(note.start_s * SAMPLE_RATE)
        part = recording[: max(0, len(out) - start)]
        loudness = 0.5 if GM_DRUMS[note.pitch] in ("hi_hat", "cymbal", "tambourine") else 1.0
        out[start : start + len(part)] += part * np.float32(loudness * (note.velocity / 127) ** 1.5)


def kits_from(clips: Sequence[tuple[str, str, np.ndarray]]) -> list[Kit]:
    """Gather single recordings (source, class, samples) into whole kits."""
    pieces: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for source, sound, audio in clips:
        pieces[source][sound].append(audio)
    kits = [Kit(name, found) for name, found in sorted(pieces.items())]
    return [kit for kit in kits if kit.is_whole]
