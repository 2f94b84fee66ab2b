"""Tell whether an audio file holds all that its header promises.

libsndfile reads a file that was cut short as if it had always been that short, and of an Ogg file that
chains several recordings it reads the first alone, and of a file whose 32-bit size field overflowed only
the remainder. All lose sound without a word, so the container's own length fields are compared with what is
there before anything is read. A field that says "unknown", as programs write it that stream into a pipe,
promises nothing and passes.

References: RIFF and RF64 in EBU Tech 3306, W64 in Sony's "Wave 64", AIFF-C (Apple, 1991), Ogg in RFC 3533.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from soundlasso.dsp.errors import AudioFileError

RIFF_CHUNK = struct.Struct("<4sI")
_AIFF_CHUNK = struct.Struct(">4sI")
_W64_CHUNK = struct.Struct("<16sQ")
_W64_UNKNOWN = (1 << 63) - 1  # or above: ffmpeg writes this, others all ones
_CAF_CHUNK = struct.Struct(">4sq")
_AU_HEADER = struct.Struct(">4sII")
_OGG_PAGE = struct.Struct("<4sBBqIIIB")
_OGG_FIRST, _OGG_LAST = 2, 4  # bits of a page's header type
_OVERFLOW_BYTES = 1 << 32


class _Sound(NamedTuple):
    """Where the samples start, and how many bytes of them are promised."""

    start: int
    size: int


def check_whole(path: Path, container: str) -> None:
    """Refuse a file that holds less than its header promises.

    Parameters
    ----------
    path
        The file.
    container
        Its format as libsndfile names it: ``"WAV"``, ``"OGG"``, ... FLAC and MP3, which have no such
        field, pass.

    Raises
    ------
    AudioFileError
        The file was cut short, or holds recordings that would not be read.
    """
    with path.open("rb") as file:
        if container == "OGG":
            _check_ogg(file, path)
        elif container in _FIND_SOUND:
            _check_size(file, path, _FIND_SOUND[container](file))


def _check_size(file: BinaryIO, path: Path, sound: _Sound | None) -> None:
    if sound is None:
        return
    present = os.fstat(file.fileno()).st_size - sound.start
    if present < sound.size:
        raise AudioFileError(
            f"{str(path)!r} is cut short: its header promises {sound.size} bytes of sound, "
            f"{max(present, 0)} are there"
        )
    if present >= sound.size + _OVERFLOW_BYTES:
        raise AudioFileError(
            f"{str(path)!r} is beyond 4 GiB, which its size field cannot say: of {present} bytes only "
            f"{sound.size} would be read; store it as RF64 or W64"
        )


def chunks(file: BinaryIO, start: int, header: struct.Struct, pad: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, offset of the content, size in the header) of each chunk."""
    at, end = start, os.fstat(file.fileno()).st_size
    while at + header.size <= end:  # a damaged size may lead to where no file can be read
        file.seek(at)
        name, size = header.unpack(file.read(header.size))
        yield name, at + header.size, size
        content = size - header.size if header is _W64_CHUNK else size
        at += header.size + max(content, 0)
        at += -at % pad


def _find_riff(file: BinaryIO) -> _Sound | None:
    long_size = None
    for name, at, size in chunks(file, 12, RIFF_CHUNK, 2):
        if name == b"ds64":
            file.seek(at + 8)
            long_size = int.from_bytes(file.read(8), "little")
        if name == b"data":
            if size == 0xFFFFFFFF and long_size is not None:
                size = long_size
            return None if _is_unknown(size) else _Sound(at, size)
    return None


def _is_unknown(size: int) -> bool:
    """Tell whether a 32-bit size is a streaming program's stand-in: ffmpeg's all ones, SoX's near 2 GiB."""
    return size in (0, 0xFFFFFFFF) or 0x7FFFF000 <= size <= 0x7FFFFFFF


def _find_w64(file: BinaryIO) -> _Sound | None:
    for name, at, size in chunks(file, 40, _W64_CHUNK, 8):
        if name[:4] == b"data":
            return None if size == 0 or size >= _W64_UNKNOWN else _Sound(at, size - _W64_CHUNK.size)
    return None


def _find_aiff(file: BinaryIO) -> _Sound | None:
    for name, at, size in chunks(file, 12, _AIFF_CHUNK, 2):
        if name == b"SSND":
            return None if _is_unknown(size) else _Sound(at, size)
    return None


def _find_caf(file: BinaryIO) -> _Sound | None:
    for name, at, size in chunks(file, 8, _CAF_CHUNK, 1):
        if name == b"data":
            return None if size < 0 else _Sound(at, size)
    return None


def _find_au(file: BinaryIO) -> _Sound | None:
    file.seek(0)
    head = file.read(_AU_HEADER.size)
    if len(head) < _AU_HEADER.size:
        return None
    _, start, size = _AU_HEADER.unpack(head)
    return None if _is_unknown(size) else _Sound(start, size)


_FIND_SOUND = {
    "WAV": _find_riff,
    "WAVEX": _find_riff,
    "RF64": _find_riff,
    "W64": _find_w64,
    "AIFF": _find_aiff,
    "CAF": _find_caf,
    "AU": _find_au,
}


def _ogg_pages(file: BinaryIO, path: Path) -> Iterator[int]:
    """Yield each page's header type, checking that the page is all there."""
    file_size = os.fstat(file.fileno()).st_size
    at = 0
    while at < file_size:
        file.seek(at)
        head = file.read(_OGG_PAGE.size)
        if len(head) < _OGG_PAGE.size or head[:4] != b"OggS":
            raise AudioFileError(f"{str(path)!r} is damaged or cut short: no whole Ogg page at byte {at}")
        segments = head[-1]
        at += _OGG_PAGE.size + segments + sum(file.read(segments))
        yield head[5]
    if at > file_size:
        raise AudioFileError(f"{str(path)!r} is cut short: its last Ogg page lacks {at - file_size} bytes")


def _check_ogg(file: BinaryIO, path: Path) -> None:
    begun = ended = False
    for kind in _ogg_pages(file, path):
        if begun and kind & _OGG_FIRST:  # the first pages of one recording all come before its other pages
            raise AudioFileError(
                f"{str(path)!r} chains several Ogg recordings, of which only the first would be read"
            )
        begun = not kind & _OGG_FIRST
        ended = bool(kind & _OGG_LAST)
    if not ended:
        raise AudioFileError(f"{str(path)!r} is cut short: the Ogg stream has no end page")
