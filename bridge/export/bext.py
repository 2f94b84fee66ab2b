"""The broadcast extension chunk of WAV files: when a sound belongs, what it is, how loud it is.

Written here because no kept library does it: soundfile offers no access to libsndfile's, and FFmpeg (PyAV)
knows no loudness and writes the chunk before the sound, when loudness is not known yet.  The chunk comes
before the sound, where every reader finds it, so its room is held from the start and filled at the end.

Reference: EBU Tech 3285, "Specification of the Broadcast Wave Format", version 2 (2011).
"""

import math
import struct
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from soundlasso.bridge.audiofile_whole import RIFF_CHUNK, chunks

_FIXED = struct.Struct("<256s32s32s10s8sQH64s5h180x")
_VERSION = 2
_UNKNOWN_LOUDNESS = 0x7FFF
_LOUDNESS_STEPS = 100  # to one LUFS, LU or dBTP
_MAX_HISTORY_BYTES = 2000
_COMMENT_OVERHEAD = 14  # of a LIST chunk with one comment: its kind, the comment's name and size, two zeros
_HEADER_BYTES = 8192
_BLANK = " "
MOST_TIME_REFERENCE = 2**64 - 1
"""The latest time that the chunk can say, in samples."""


@dataclass(frozen=True)
class Loudness:
    """How loud a sound is, after EBU R 128; None or an infinity where it is not known.

    Attributes
    ----------
    integrated_lufs, range_lu, true_peak_dbtp, momentary_lufs, short_term_lufs
        The last two are the largest of their kind.
    """

    integrated_lufs: float | None = None
    range_lu: float | None = None
    true_peak_dbtp: float | None = None
    momentary_lufs: float | None = None
    short_term_lufs: float | None = None


@dataclass(frozen=True)
class Broadcast:
    """What the chunk says.  Texts are ASCII there: accents are dropped, other letters become ``?``.

    Attributes
    ----------
    description
        What the sound is; 256 characters are kept.
    originator
        Who made the file.
    reference
        The originator's own number for it.
    date, time
        ``yyyy-mm-dd`` and ``hh:mm:ss`` of the recording, or empty.
    time_reference_samples
        When the first sample belongs, in samples since midnight.
    umid
        The recording's SMPTE identifier; 64 bytes, or empty.
    loudness
        Of the sound.
    history
        What was done to it, a line for each step.
    """

    description: str = ""
    originator: str = "soundlasso"
    reference: str = ""
    date: str = ""
    time: str = ""
    time_reference_samples: int = 0
    umid: bytes = b""
    loudness: Loudness = Loudness()
    history: str = ""

    def to_bytes(self) -> bytes:
        """Return the chunk's content; its size depends on the history alone."""
        loudness = self.loudness
        fixed = _FIXED.pack(
            _ascii(self.description),
            _ascii(self.originator),
            _ascii(self.reference),
            _ascii(self.date),
            _ascii(self.time),
            self.time_reference_samples,
            _VERSION,
            self.umid,
            _steps(loudness.integrated_lufs),
            _steps(loudness.range_lu),
            _steps(loudness.true_peak_dbtp),
            _steps(loudness.momentary_lufs),
            _steps(loudness.short_term_lufs),
        )
        history = _ascii(self.history)[-_MAX_HISTORY_BYTES:]
        return fixed + history + b"\0" * (len(history) % 2)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Broadcast | None":
        """Read a chunk's content: the reverse of `to_bytes`; None when it is too short to be one."""
        if len(content) < _FIXED.size:
            return None
        fields = _FIXED.unpack_from(content)
        *texts, time_reference, version, umid = fields[:8]
        description, originator, reference, date, time = (_text(field) for field in texts)
        levels = fields[8:] if version >= _VERSION else (_UNKNOWN_LOUDNESS,) * 5
        loudness = Loudness(*(_level(level) for level in levels))
        history = _text(content[_FIXED.size :])
        return cls(
            description,
            originator,
            reference,
            date,
            time,
            time_reference,
            umid.rstrip(b"\0"),
            loudness,
            history,
        )


def _ascii(text: str) -> bytes:
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letters).encode("ascii", "replace")


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("ascii", "replace")


def _steps(level: float | None) -> int:
    """Return a level in hundredths; 0x7FFF where it is not known, as the specification has it."""
    if level is None or not math.isfinite(level):
        return _UNKNOWN_LOUDNESS
    steps = round(level * _LOUDNESS_STEPS)
    return steps if abs(steps) < _UNKNOWN_LOUDNESS else _UNKNOWN_LOUDNESS


def _level(steps: int) -> float | None:
    return None if steps == _UNKNOWN_LOUDNESS else steps / _LOUDNESS_STEPS


def read_broadcast(path: Path, container: str) -> Broadcast | None:
    """Read the chunk of a file; None when it has none.

    Parameters
    ----------
    path
        The file.
    container
        Its format as libsndfile names it; only WAV and RF64 have the chunk, W64 has not.
    """
    if container not in ("WAV", "WAVEX", "RF64"):
        return None
    with path.open("rb") as file:
        for name, at, size in chunks(file, 12, RIFF_CHUNK, 2):
            if name == b"bext":
                file.seek(at)
                return Broadcast.from_bytes(file.read(min(size, 1 << 20)))
            if name == b"data" and size == 0xFFFFFFFF:
                return None  # RF64: what follows is gigabytes away
    return None


def placeholder(broadcast: Broadcast) -> str:
    """Return a comment that, written by libsndfile before the sound, holds the room for the chunk."""
    return _BLANK * (len(broadcast.to_bytes()) - _COMMENT_OVERHEAD)


def fill_placeholder(path: Path, broadcast: Broadcast) -> None:
    """Put the chunk into the room that `placeholder` held, without moving a sample."""
    content = broadcast.to_bytes()
    held = struct.pack("<4sI4s", b"LIST", len(content), b"INFO")
    with path.open("r+b") as file:
        at = file.read(_HEADER_BYTES).find(held)
        assert at >= 0, "libsndfile wrote the comment elsewhere"
        file.seek(at)
        file.write(struct.pack("<4sI", b"bext", len(content)) + content)
