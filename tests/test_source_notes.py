"""What an input knows beside its sound: notes that other programs wrote, and damaged ones."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import soundfile

from soundlasso.bridge.audiofile import AudioInfo, inspect_audio
from soundlasso.bridge.export.bext import Broadcast
from soundlasso.bridge.export.session import Marker
from soundlasso.bridge.export.source_notes import SourceNotes, read_source_notes
from tests.signals import noise

RATE, FRAMES = 8000, 4000
CUES = [(1, 100, "verse"), (3, 3000, ""), (2, 2000, "Brücke"), (9, FRAMES + 1, "outside")]


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def cue_chunks(encoding: str = "utf-8") -> bytes:
    points = b"".join(struct.pack("<II4sIII", n, at, b"data", 0, 0, at) for n, at, _ in CUES)
    labels = [struct.pack("<I", n) + text.encode(encoding) + b"\0" for n, _, text in CUES if text]
    listed = b"adtl" + b"".join(chunk(b"labl", label) for label in labels)
    return chunk(b"cue ", struct.pack("<I", len(CUES)) + points) + chunk(b"LIST", listed)


def acid_chunk(flags: int = 0, tempo_bpm: float = 97.5, metre: tuple[int, int] = (3, 8)) -> bytes:
    return chunk(b"acid", struct.pack("<IHHfIHHf", flags, 60, 0x8000, 0.0, 8, metre[1], metre[0], tempo_bpm))


def noted(path: Path, *chunks: bytes) -> AudioInfo:
    """Write a WAV with more chunks at its end."""
    soundfile.write(path, noise(2, FRAMES).T, RATE, subtype="PCM_16")
    data = path.read_bytes() + b"".join(chunks)
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    return inspect_audio(path)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_markers_and_tempo_of_a_wav_are_read(tmp_path: Path, encoding: str) -> None:
    stamp = Broadcast("take 1", "recorder", time_reference_samples=123_456, history="A=PCM")
    extra = [cue_chunks(encoding), acid_chunk(), chunk(b"bext", stamp.to_bytes())]
    notes = read_source_notes(noted(tmp_path / "a.wav", *extra))
    assert notes.broadcast == stamp
    assert notes.time_reference_samples == 123_456
    assert (notes.tempo_bpm, notes.beats_per_bar, notes.beat_unit) == (97.5, 3, 8)
    assert notes.markers == (Marker("verse", 100), Marker("Brücke", 2000), Marker("marker 3", 3000))


def test_a_list_of_tags_after_the_labels_does_not_hide_them(tmp_path: Path) -> None:
    tags = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"a song"))
    notes = read_source_notes(noted(tmp_path / "a.wav", cue_chunks(), tags))
    assert [marker.name for marker in notes.markers] == ["verse", "Brücke", "marker 3"]


@pytest.mark.parametrize(
    "acid", [acid_chunk(flags=1), acid_chunk(tempo_bpm=0.0), acid_chunk(tempo_bpm=float("nan"))]
)
def test_a_tempo_that_is_none_is_not_taken(tmp_path: Path, acid: bytes) -> None:
    assert read_source_notes(noted(tmp_path / "a.wav", acid)).tempo_bpm is None


def test_an_impossible_metre_is_four_four(tmp_path: Path) -> None:
    notes = read_source_notes(noted(tmp_path / "a.wav", acid_chunk(metre=(0, 0))))
    assert (notes.beats_per_bar, notes.beat_unit) == (4, 4)


@pytest.mark.parametrize("name", [b"cue ", b"acid", b"bext", b"LIST"])
@pytest.mark.parametrize("size", [0, 3, 4, 11, 27])
def test_a_damaged_note_is_passed_over(tmp_path: Path, name: bytes, size: int) -> None:
    content = (b"adtllabl\xff\xff\xff\xff" if name == b"LIST" else b"\xff" * 27)[:size].ljust(size, b"\xff")
    assert read_source_notes(noted(tmp_path / "a.wav", chunk(name, content))) == SourceNotes()


@pytest.mark.parametrize("format", ["WAV", "RF64", "W64", "AIFF", "FLAC", "OGG"])
def test_a_file_without_notes_has_none(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"a.{format.lower()}"
    soundfile.write(path, noise(1, FRAMES).T, RATE, format=format)
    assert read_source_notes(inspect_audio(path)) == SourceNotes()


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
@pytest.mark.parametrize(("tag", "tempo_bpm"), [("BPM=128", 128.0), ("tempo=90.5", 90.5), ("BPM=fast", None)])
def test_the_tempo_tag_of_a_flac_is_read(tmp_path: Path, tag: str, tempo_bpm: float | None) -> None:
    noted(tmp_path / "a.wav")
    path = tmp_path / "a.flac"
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.wav"), "-metadata", tag, str(path)]
    subprocess.run(command, check=True)
    assert read_source_notes(inspect_audio(path)).tempo_bpm == tempo_bpm
