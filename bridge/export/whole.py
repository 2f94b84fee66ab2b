"""Make a file of any size appear whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from soundlasso.bridge.audiofile_write import free_space, temporary_path
from soundlasso.dsp.errors import AudioFileError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a hidden path beside ``path`` to write to; what was written takes its place at the end.

    Raises
    ------
    AudioFileError
        The system refuses; nothing is left.
    """
    temporary = temporary_path(path)
    try:
        yield temporary
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise AudioFileError(f"cannot write {str(path)!r}: {error.strerror}; {free_space(path)}") from error
    finally:
        temporary.unlink(missing_ok=True)
