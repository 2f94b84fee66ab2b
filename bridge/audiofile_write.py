"""Write audio files that appear whole or not at all.

A file is written beside its place under a temporary name, forced to the disk, read back, and only then
renamed: a full disk, a crash or Ctrl-C never leaves a file under its final name that is not all there.
Reading back matters, because a write to a full disk can report success.
"""

import contextlib
import os
import shutil
import struct
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import soundfile

from soundlasso.bridge.audiofile import system_name
from soundlasso.bridge.audiofile_format import HEADER_BYTES, OutputFormat, to_integers
from soundlasso.bridge.export.bext import Broadcast, fill_placeholder, placeholder
from soundlasso.dsp.errors import AudioError, AudioFileError
from soundlasso.models import atomic
from soundlasso.models.atomic import TEMPORARY_SUFFIX
from soundlasso.models.atomic import temporary_path as temporary_path

FORGOTTEN_S = 86400.0
_WRITE_FRAMES = 65536  # a longer Vorbis write overflows libsndfile's stack
_TAIL_FRAMES = 4096


def remove_leavings(folder: Path, process: int) -> None:
    """Remove what a process that was killed left half-written in a folder."""
    for path in folder.glob(f".soundlasso-{process}-*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


def remove_forgotten(folder: Path) -> None:
    """Remove half-written files that nobody has touched for a day: all of their run was killed."""
    for path in folder.glob(f".soundlasso-*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError, PermissionError):  # another run is removing it, too
            if time.time() - path.stat().st_mtime > FORGOTTEN_S:
                path.unlink()


class AudioWriter:
    """An audio file in the making.

    Used with ``with``: it is published when the block ends well, and leaves nothing when it does not.

    Parameters
    ----------
    path
        Where the file will be; its folder exists.
    format
        How it is stored, and how many frames it will have.
    overwrite
        Whether a file that is there may be replaced.
    broadcast
        The time stamp and more of a WAV or RF64; other formats have no place for it.

    Attributes
    ----------
    path
        As given.
    broadcast
        May be replaced by another with the same history until the file is finished, when loudness is known.
    clipped_samples
        How many samples so far were beyond full scale and were held there; always 0 for float.

    Raises
    ------
    AudioFileError
        The path is taken, or the file cannot be made.
    """

    path: Path
    broadcast: Broadcast | None
    clipped_samples: int

    def __init__(
        self,
        path: Path,
        format: OutputFormat,
        *,
        overwrite: bool = False,
        broadcast: Broadcast | None = None,
    ) -> None:
        self.path = path
        self.broadcast = broadcast if format.container in ("WAV", "RF64") else None
        self.clipped_samples = 0
        self._format = format
        self._overwrite = overwrite
        self._written = 0
        self._is_new = False
        self._check_free()
        self._temporary = temporary_path(path)
        try:
            self._file = soundfile.SoundFile(
                system_name(self._temporary),
                "x",
                format.sample_rate,
                format.channels,
                format.subtype,
                format=format.container,
            )
            if self.broadcast is not None:
                self._file.comment = placeholder(self.broadcast)
        except BaseException as error:
            atomic.remove(self._temporary)
            if isinstance(error, (soundfile.LibsndfileError, OSError)):
                raise self._failed(error) from error
            raise

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish the file, or remove all of it after an error."""
        try:
            if kind is None:
                publish([self])
        finally:
            self.discard()

    def write(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Append samples.

        Parameters
        ----------
        block
            Shape: ``(channels, samples)``.

        Returns
        -------
        numpy.ndarray
            What the file now holds of them: rounded and clipped for integer formats. Shape: as ``block``.

        Raises
        ------
        AudioError
            A sample is NaN or infinite.
        AudioFileError
            The disk is full, or another error of the system.
        """
        if not np.isfinite(block).all():
            raise AudioError(f"a sample for {str(self.path)!r} is not finite")
        data: npt.NDArray[np.float32] | npt.NDArray[np.int32] = block
        if self._format.bits is not None:
            data, block, clipped = to_integers(block, self._format.bits)
            self.clipped_samples += clipped
        try:
            for start in range(0, data.shape[1], _WRITE_FRAMES):
                self._file.write(data[:, start : start + _WRITE_FRAMES].T)
        except (soundfile.LibsndfileError, OSError) as error:
            raise self._failed(error) from error
        self._written += data.shape[1]
        return block

    def finish(self) -> None:
        """Close the file, force it to the disk, and check that all of it can be read back.

        Raises
        ------
        AudioFileError
            Frames are missing.
        """
        try:
            self._file.close()
            _unstamp_peak(self._temporary)
            if self.broadcast is not None:
                fill_placeholder(self._temporary, self.broadcast)
            atomic.sync(self._temporary)
            self._read_back()
        except (soundfile.LibsndfileError, OSError) as error:
            raise self._failed(error) from error

    def rename(self) -> None:
        """Move the finished file to its place."""
        self._check_free()
        self._is_new = not os.path.lexists(self.path)
        try:
            os.replace(self._temporary, self.path)
        except OSError as error:
            raise self._failed(error) from error

    def discard(self) -> None:
        """Remove what was written, unless it was renamed; may be called any number of times."""
        with contextlib.suppress(soundfile.LibsndfileError):  # closing writes, which a full disk refuses
            self._file.close()
        atomic.remove(self._temporary)

    def withdraw(self) -> None:
        """Remove what was written even if it was renamed, unless it replaced another file."""
        was_renamed = not self._temporary.exists()
        self.discard()
        if was_renamed and self._is_new:
            atomic.remove(self.path)

    def _check_free(self) -> None:
        if os.path.lexists(self.path) and not self._overwrite:
            raise AudioFileError(f"{str(self.path)!r} exists already")

    def _read_back(self) -> None:
        with soundfile.SoundFile(system_name(self._temporary)) as file:
            file.seek(max(file.frames - _TAIL_FRAMES, 0))
            present = file.tell() + len(file.read(_TAIL_FRAMES))
        if not present == self._written == self._format.frames:
            raise AudioFileError(
                f"{str(self.path)!r} was to have {self._format.frames} frames, {self._written} were written "
                f"and {present} can be read back; {free_space(self.path)}"
            )

    def _failed(self, error: Exception) -> AudioFileError:
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        return AudioFileError(f"cannot write {str(self.path)!r}: {reason}; {free_space(self.path)}")


def publish(writers: Sequence[AudioWriter]) -> None:
    """Finish several files, then give them their names: none is renamed before all are whole.

    If one cannot be renamed, those that were are withdrawn.

    Raises
    ------
    AudioFileError
        A file is not whole, or its place was taken meanwhile.
    """
    for writer in writers:
        writer.finish()
    with contextlib.ExitStack() as renamed:
        for writer in writers:
            renamed.callback(writer.withdraw)
            writer.rename()
        for folder in {writer.path.parent for writer in writers}:
            try:
                atomic.sync_folder(folder)
            except OSError as error:
                raise AudioFileError(f"cannot write to {str(folder)!r}: {error.strerror}") from error
        renamed.pop_all()


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file, such as a manifest, so that it appears whole or not at all; replaces what is there.

    Raises
    ------
    AudioFileError
        The system refuses.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a hidden path beside ``path`` to write to; what was written takes its place at the end.

    Raises
    ------
    AudioFileError
        The system refuses; nothing is left.
    """
    try:
        with atomic.replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise AudioFileError(f"cannot write {str(path)!r}: {error.strerror}; {free_space(path)}") from error


def free_space(path: Path) -> str:
    """Say how much room is left where ``path`` would be."""
    return f"{shutil.disk_usage(existing_folder(path)).free / 1e6:.1f} MB are free there"


def existing_folder(path: Path) -> Path:
    """Return the nearest folder above ``path`` that is there."""
    return next(parent for parent in path.absolute().parents if os.path.isdir(parent))


def check_space(files: Iterable[tuple[Path, OutputFormat]]) -> None:
    """Refuse files that cannot fit where they shall go.

    Parameters
    ----------
    files
        Path and format of each; the folders need not exist yet.

    Raises
    ------
    AudioFileError
        A disk has less room than the files on it need at least.
    """
    needed: Counter[int] = Counter()
    place: dict[int, Path] = {}
    for path, format in files:
        folder = existing_folder(path)
        device = folder.stat().st_dev
        needed[device] += format.least_bytes
        place[device] = folder
    for device, size in needed.items():
        free = shutil.disk_usage(place[device]).free
        if size > free:
            raise AudioFileError(
                f"no space in {str(place[device])!r}: {size / 1e6:.1f} MB are needed, "
                f"{free / 1e6:.1f} MB are free"
            )


def _unstamp_peak(path: Path) -> None:
    """Take the time out of a WAV's PEAK chunk, or equal sound would not give equal files."""
    with path.open("r+b") as file:
        start = file.read(HEADER_BYTES)
        at = start.find(b"PEAK")
        if start[:4] == b"RIFF" and 0 < at < max(start.find(b"data"), 0):
            file.seek(at + 12)  # name, size and version come first
            file.write(struct.pack("<I", 0))
