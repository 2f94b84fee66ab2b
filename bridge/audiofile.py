"""Read an audio file block by block, and never less of it than there is.

Everything that soundfile reads of the common formats is read; what it would read wrongly or short without
an error is refused with the reason. The reader's blocks are float32 ``(channels, samples)``.
"""

import dataclasses
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import soundfile

from soundlasso.bridge.audiofile_mpeg import count_samples, states_length
from soundlasso.bridge.audiofile_whole import check_whole
from soundlasso.dsp.errors import AudioFileError
from soundlasso.dsp.samples import first_unusable

BLOCK_SAMPLES = 65536
MAX_CHANNELS = 64

# Formats that are common and that libsndfile 1.2.2 reads soundly. ADPCM is left out: its decoders there
# have known memory errors (CVE-2026-37555) and no release mends them.
_CONTAINERS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
_PLAIN = ("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
_CODED = ("ULAW", "ALAW", "ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32", "VORBIS", "OPUS", "MPEG_LAYER_I")
_SUBTYPES = (*_PLAIN, *_CODED, "MPEG_LAYER_II", "MPEG_LAYER_III")
_UNKNOWN_FRAMES = (1 << 63) - 1  # libsndfile's count when a FLAC file does not state one
# Their decoders promise to seek near a place, not to it, so a start inside them is reached by reading.
_READ_TO_SEEK = ("MP3", "OGG")

EXTENSIONS = ".wav .wave .bwf .rf64 .w64 .aif .aiff .aifc .au .snd .caf .flac .ogg .oga .opus .mp3".split()
"""The file name endings taken for audio when a folder is searched."""
UNREAD_EXTENSIONS = ".m4a .mp4 .m4v .aac .wma .mov .mkv .webm .ac3 .amr".split()
"""Endings of files that hold sound which only other programs read."""


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """What an audio file is, as read from its header and checked against its content."""

    path: Path
    sample_rate: int
    channels: int
    frames: int
    container: str
    subtype: str

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.frames / self.sample_rate


class _Identity(NamedTuple):
    """What changes when a file is written to or replaced."""

    size: int
    modified_ns: int
    inode: int


def _identify(path: Path) -> _Identity:
    try:
        found = path.stat()
    except OSError as error:
        raise AudioFileError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError as error:  # a NUL byte in the name
        raise AudioFileError(f"cannot read {str(path)!r}: {error}") from error
    if stat.S_ISDIR(found.st_mode):
        raise AudioFileError(f"{str(path)!r} is a folder, not an audio file")
    if not stat.S_ISREG(found.st_mode):
        raise AudioFileError(f"{str(path)!r} is not a plain file; copy its content into one first")
    return _Identity(found.st_size, found.st_mtime_ns, found.st_ino)


def inspect_audio(path: str | os.PathLike[str]) -> AudioInfo:
    """Read what an audio file is, and check that it is whole.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    AudioInfo
        Its rate, channels, exact number of frames and format.

    Raises
    ------
    AudioFileError
        It is missing, no audio, empty, cut short, or of a kind that cannot be read reliably.
    """
    path = Path(path)
    _identify(path)
    with _open(path) as file:
        info = AudioInfo(path, file.samplerate, file.channels, file.frames, file.format, file.subtype)
        _check_kind(info)
        if info.container == "FLAC" and 0 < info.frames < _UNKNOWN_FRAMES:
            _check_tail(file, info)
    check_whole(path, info.container)
    if info.container == "MP3":
        info = _count_mp3(info)
    if info.frames == 0:
        raise AudioFileError(f"{str(path)!r} holds no samples")
    if info.frames == _UNKNOWN_FRAMES:
        raise AudioFileError(f"{str(path)!r} does not state its length; convert it to WAV first")
    return info


def _open(path: Path) -> soundfile.SoundFile:
    if path.suffix.lower() == ".raw":  # soundfile would ask for the format in a TypeError
        raise AudioFileError(f"{str(path)!r} has no header with its rate and channels; convert it to WAV")
    try:
        return soundfile.SoundFile(system_name(path))
    except soundfile.LibsndfileError as error:
        reason = _unreadable(path, error)
        raise AudioFileError(f"{str(path)!r} {reason}") from error


def system_name(path: Path) -> bytes | str:
    """Return a path as soundfile takes it, whatever its bytes; text it would have to be UTF-8."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def _unreadable(path: Path, error: soundfile.LibsndfileError) -> str:
    if not os.access(path, os.R_OK):
        return "may not be read: permission denied"
    if path.stat().st_size == 0 or _is_empty_flac(path):
        return "holds no samples"
    reason = f"is not audio that can be read ({error.error_string.rstrip('.').lower()})"
    return reason if path.suffix.lower() in EXTENSIONS else f"{reason}; {how_to_convert(path)}"


def how_to_convert(path: Path) -> str:
    """Say what is read, and how a file of another kind becomes that."""
    command = shlex.join(["ffmpeg", "-i", str(path), str(path.with_suffix(".wav"))])
    return f"soundlasso reads wav, flac, aiff, ogg, opus, mp3; convert it, as with: {command}"


def _is_empty_flac(path: Path) -> bool:
    """Tell whether this is a FLAC file of no samples, which libsndfile does not recognise as one.

    The last 36 bits of the stream information before its MD5 sum are the number of samples.
    """
    with path.open("rb") as file:
        head = file.read(26)
    return head[:4] == b"fLaC" and int.from_bytes(head[18:26], "big") & ((1 << 36) - 1) == 0


def _check_kind(info: AudioInfo) -> None:
    name = str(info.path)
    if info.container not in _CONTAINERS or info.subtype not in _SUBTYPES:
        kind = f"{info.container} {info.subtype}"
        raise AudioFileError(f"{name!r} is {kind}, which is not read; convert it to WAV first")
    if info.channels > MAX_CHANNELS:
        raise AudioFileError(f"{name!r} has {info.channels} channels; at most {MAX_CHANNELS} are read")


def _check_tail(file: soundfile.SoundFile, info: AudioInfo) -> None:
    """Decode the last sample, which a cut file lacks; libsndfile would notice only on getting there."""
    try:
        file.seek(info.frames - 1)
        present = len(file.read(1))
    except soundfile.LibsndfileError:
        present = 0
    if present == 0:
        raise AudioFileError(f"{str(info.path)!r} is cut short: it has no sample {info.frames - 1}, its last")


def _count_mp3(info: AudioInfo) -> AudioInfo:
    """Replace libsndfile's guess of an MP3's length by a count."""
    if states_length(info.path):
        return info
    frames = count_samples(info.path)
    if frames > info.frames:
        raise AudioFileError(
            f"{str(info.path)!r} does not state its length and only {info.frames} of its {frames} samples "
            "would be read; convert it to WAV or FLAC first"
        )
    return dataclasses.replace(info, frames=frames)


class AudioReader:
    """An audio file, or a region of it, as blocks.

    Parameters
    ----------
    path
        The file.
    start_s
        Where to begin, in seconds.
    length_s
        How much to read at most, in seconds; None reads to the end.

    Attributes
    ----------
    info
        What the file is.
    frames
        How many samples per channel the blocks add up to.

    Raises
    ------
    AudioFileError
        As `inspect_audio`, or the region starts outside the file.
    """

    info: AudioInfo
    frames: int

    def __init__(
        self, path: str | os.PathLike[str], *, start_s: float = 0.0, length_s: float | None = None
    ) -> None:
        path = Path(path)
        self._identity = _identify(path)
        self.info = inspect_audio(path)
        self._start, self.frames = region_frames(self.info, start_s, length_s)
        self._file = _open(path)

    def __enter__(self) -> Self:
        """Return the reader; leaving the block closes the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def blocks(self, block_samples: int = BLOCK_SAMPLES) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the region in order.

        Parameters
        ----------
        block_samples
            Samples per channel in each block; the last one may be shorter.

        Yields
        ------
        numpy.ndarray
            float32. Shape: ``(channels, samples)``.

        Raises
        ------
        AudioFileError
            A sample is NaN, infinite or beyond 1e12; or the file ends early, cannot be decoded, or
            changed meanwhile.
        """
        self._go_to_start()
        done = 0
        while done < self.frames:
            block = self._read(min(block_samples, self.frames - done))
            if len(block) == 0:
                raise self._ended_early(done)
            block = np.ascontiguousarray(block.T)
            self._check_samples(block, self._start + done)
            done += block.shape[1]
            yield block
        if _identify(self.info.path) != self._identity:
            raise AudioFileError(f"{str(self.info.path)!r} changed while it was read; try again later")

    def _go_to_start(self) -> None:
        if self.info.container not in _READ_TO_SEEK:
            self._file.seek(self._start)
            return
        left = self._start
        while left > 0:
            skipped = len(self._read(min(BLOCK_SAMPLES, left)))
            if skipped == 0:
                raise self._ended_early(-left)
            left -= skipped

    def _read(self, frames: int) -> npt.NDArray[np.float32]:
        try:
            return np.asarray(self._file.read(frames, dtype="float32", always_2d=True), np.float32)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.removeprefix("Error : ").rstrip(".")
            raise AudioFileError(f"{str(self.info.path)!r} is damaged or cut short: {reason}") from error

    def _ended_early(self, done: int) -> AudioFileError:
        present = self._start + done
        return AudioFileError(
            f"{str(self.info.path)!r} is cut short: its header promises {self.info.frames} samples "
            f"per channel, {present} are there"
        )

    def _check_samples(self, block: npt.NDArray[np.float32], position: int) -> None:
        place = first_unusable(block)
        if place is not None:
            raise AudioFileError(
                f"{str(self.info.path)!r} holds {block[place]!s} in channel {place[0]}, "
                f"sample {position + place[1]}; repair it first"
            )


def region_frames(info: AudioInfo, start_s: float, length_s: float | None) -> tuple[int, int]:
    """Turn a region in seconds into (first sample, number of samples), cut at the file's end.

    Raises
    ------
    AudioFileError
        The start is outside the file, or the length is less than one sample.
    """
    start = _round_samples(start_s, info)
    if not 0 <= start < info.frames:
        raise AudioFileError(f"cannot start at {start_s!r} s: {str(info.path)!r} lasts {info.seconds:.3f} s")
    if length_s is None:
        return start, info.frames - start
    length = _round_samples(length_s, info)
    if length < 1:
        raise AudioFileError(f"cannot read a length of {length_s!r} s; choose at least one sample")
    return start, min(length, info.frames - start)


def _round_samples(seconds: float, info: AudioInfo) -> int:
    """Turn seconds into samples, at most the file's; what is no number becomes -1, which is none either."""
    samples = seconds * info.sample_rate  # infinite for large seconds, which no integer holds
    return round(min(samples, info.frames)) if samples >= 0 else -1


def read_audio(path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.float32], int]:
    """Read a whole audio file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    (numpy.ndarray, int)
        The samples as float32 and the sample rate in Hz. Shape: ``(channels, samples)``.

    Raises
    ------
    AudioFileError
        As `AudioReader`.
    """
    with AudioReader(path) as reader:
        return np.concatenate(list(reader.blocks()), axis=1), reader.info.sample_rate
