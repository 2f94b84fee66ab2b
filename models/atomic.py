"""Files that appear whole or not at all: written beside their place, forced to the disk, then renamed."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_SUFFIX = ".part"
_CANNOT_SYNC = errno.EINVAL, errno.EACCES, errno.EPERM
"""Some network file systems cannot do it, and lose nothing by it; some folders cannot be opened to read."""


def temporary_path(path: Path) -> Path:
    """Name a file beside ``path`` that nothing else uses; it is hidden, and ends in ``.part``."""
    return path.with_name(f".soundlasso-{os.getpid()}-{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that no reader, and no crash, ever sees a part of it.

    Raises
    ------
    OSError
        The system refuses; what was there before is still there, unless the disk itself failed at the last
        moment, when the new name was forced to it.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a hidden path beside `path` to write to; what was written takes its place at the end.

    Raises
    ------
    OSError
        The system refuses; what was there before is still there, unless the disk itself failed at the last
        moment, when the new name was forced to it.
    """
    temporary = temporary_path(path)
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file that need not be there."""
    if os.path.lexists(path):  # false, too, for a name that no file can have
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Force a file's content to the disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last through a power cut; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
