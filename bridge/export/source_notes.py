"""What an input knows beside its sound: when it belongs, its tempo, and the markers in it.

Read are, in WAV and RF64: ``bext`` (time and history), ``cue`` with the labels of ``LIST adtl`` (markers),
and ``acid`` (tempo and metre of a loop); in FLAC: the tags ``BPM`` or ``TEMPO``.  What cannot be understood
is passed over, because nothing of it changes a sample.

References: Microsoft, "Multimedia Programming Interface" 1.0 (1991) for cue and labels; RFC 9639 for FLAC;
``acid`` was never published and is read as libsndfile documents it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from soundlasso.bridge.audiofile import AudioInfo
from soundlasso.bridge.audiofile_whole import RIFF_CHUNK, chunks
from soundlasso.bridge.export.bext import Broadcast
from soundlasso.bridge.export.session import Marker, plain_text

_MAX_CHUNK_BYTES = 1 << 20  # a chunk of notes that is longer holds something else
_CUE_POINT = struct.Struct("<II4sIII")
_ACID = struct.Struct("<IHHfIHHf")
_ACID_ONE_SHOT = 1
_LEAST_TEMPO_BPM, _MOST_TEMPO_BPM = 1.0, 1000.0
_FLAC_COMMENTS, _FLAC_LAST = 4, 0x80
_TEMPO_TAGS = ("BPM", "TEMPO")


@dataclass(frozen=True)
class SourceNotes:
    """What was found; a tempo of None is not known.

    Attributes
    ----------
    broadcast
        The whole ``bext`` chunk, if there is one.
    tempo_bpm, beats_per_bar, beat_unit
        Of the music.
    markers
        In order of time, in samples from the start of the file.
    """

    broadcast: Broadcast | None = None
    tempo_bpm: float | None = None
    beats_per_bar: int = 4
    beat_unit: int = 4
    markers: tuple[Marker, ...] = ()

    @property
    def time_reference_samples(self) -> int:
        """When the file begins, in samples since midnight; 0 when it does not say."""
        return 0 if self.broadcast is None else self.broadcast.time_reference_samples


def read_source_notes(info: AudioInfo) -> SourceNotes:
    """Read the notes of an input, as far as its format has them."""
    with info.path.open("rb") as file:
        if info.container in ("WAV", "WAVEX", "RF64"):
            return _from_riff(dict(_riff_notes(file)), info.frames)
        if info.container == "FLAC":
            return SourceNotes(tempo_bpm=_flac_tempo(file))
    return SourceNotes()


def _riff_notes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    for name, at, size in chunks(file, 12, RIFF_CHUNK, 2):
        if name == b"data" and size == 0xFFFFFFFF:
            return  # RF64 keeps the size elsewhere; notes stand before the sound there
        if name in (b"bext", b"cue ", b"acid", b"LIST") and size <= _MAX_CHUNK_BYTES:
            file.seek(at)
            content = file.read(size)
            if name != b"LIST" or content[:4] == b"adtl":
                yield name, content


def _from_riff(notes: dict[bytes, bytes], frames: int) -> SourceNotes:
    tempo_bpm, beats_per_bar, beat_unit = _read_acid(notes.get(b"acid", b""))
    return SourceNotes(
        Broadcast.from_bytes(notes.get(b"bext", b"")),
        tempo_bpm,
        beats_per_bar,
        beat_unit,
        _read_cues(notes.get(b"cue ", b""), _read_labels(notes.get(b"LIST", b"")), frames),
    )


def _read_acid(content: bytes) -> tuple[float | None, int, int]:
    if len(content) < _ACID.size:
        return None, 4, 4
    flags, _, _, _, _, beat_unit, beats_per_bar, tempo_bpm = _ACID.unpack_from(content)
    is_metre = beats_per_bar > 0 and beat_unit in (1, 2, 4, 8, 16, 32)
    tempo = None if flags & _ACID_ONE_SHOT else _plausible(tempo_bpm)
    return (tempo, beats_per_bar, beat_unit) if is_metre else (tempo, 4, 4)


def _plausible(tempo_bpm: float) -> float | None:
    return tempo_bpm if _LEAST_TEMPO_BPM <= tempo_bpm <= _MOST_TEMPO_BPM else None


def _read_labels(content: bytes) -> dict[int, str]:
    labels = {}
    at = 4
    while at + RIFF_CHUNK.size <= len(content):
        name, size = RIFF_CHUNK.unpack_from(content, at)
        at += RIFF_CHUNK.size
        if name == b"labl" and size >= 4:
            (cue,) = struct.unpack_from("<I", content, at) if at + 4 <= len(content) else (0,)
            labels[cue] = plain_text(_decode(content[at + 4 : at + size].split(b"\0")[0]))
        at += size + size % 2
    return labels


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")  # what programs of that age wrote


def _read_cues(content: bytes, labels: dict[int, str], frames: int) -> tuple[Marker, ...]:
    found = []
    for at in range(4, len(content) - _CUE_POINT.size + 1, _CUE_POINT.size):
        number, _, _, _, _, position = _CUE_POINT.unpack_from(content, at)
        if position <= frames:
            found.append(Marker(labels.get(number) or f"marker {number}", position))
    return tuple(sorted(found, key=lambda marker: marker.position_samples))


def _flac_tempo(file: BinaryIO) -> float | None:
    tags = dict(line.split("=", 1) for line in _flac_comments(file) if "=" in line)
    tags = {name.upper(): value for name, value in tags.items()}
    for name in _TEMPO_TAGS:
        try:
            return _plausible(float(tags[name]))
        except (KeyError, ValueError):
            continue
    return None


def _flac_comments(file: BinaryIO) -> Iterator[str]:
    if file.read(4) != b"fLaC":
        return
    while len(head := file.read(4)) == 4:
        kind, size = head[0], int.from_bytes(head[1:], "big")
        if kind & ~_FLAC_LAST == _FLAC_COMMENTS:
            yield from _vorbis_comments(file.read(size))
            return
        if kind & _FLAC_LAST:
            return
        file.seek(size, 1)


def _vorbis_comments(content: bytes) -> Iterator[str]:
    """Yield each ``NAME=value`` of a block; before them come the program's name and how many there are."""

    def length(at: int) -> int:
        return int.from_bytes(content[at : at + 4], "little")

    at = 4 + length(0)
    left = length(at)
    at += 4
    while left > 0 and at + 4 <= len(content):
        size = length(at)
        yield content[at + 4 : at + 4 + size].decode("utf-8", "replace")
        at += 4 + size
        left -= 1
