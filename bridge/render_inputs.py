"""Find the mixes that a command line names: files, folders and patterns."""

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from soundlasso.bridge.audiofile import EXTENSIONS
from soundlasso.bridge.manifest import MANIFEST_ENDING, listed_outputs
from soundlasso.dsp.errors import SoundlassoError


class Input(NamedTuple):
    """A mix, and the folder its files go to."""

    path: Path
    out: Path


def find_inputs(arguments: Sequence[str], out: Path) -> list[Input]:
    """Find all mixes, each once, in a lasting order.

    A folder is searched all the way down for audio files; its own folders are kept under ``out``. Folders
    and patterns pass over what is hidden, and what an earlier render wrote.

    Parameters
    ----------
    arguments
        Paths of files and folders, and patterns such as ``takes/*.wav`` (``**`` reaches down).
    out
        The folder for the files.

    Returns
    -------
    list of Input
        A file that is named but is not there is among them, for its error to be told with the others'.

    Raises
    ------
    SoundlassoError
        A folder or pattern holds no audio file, or a folder cannot be searched.
    """
    found: dict[str, Input] = {}
    for argument in arguments:
        for mix in _find(argument, out):
            found.setdefault(os.path.realpath(mix.path), mix)
    return list(found.values())


def read_list(source: str) -> list[str]:
    """Read paths from a text file, one a line; ``-`` is standard input.  Empty lines are passed over.

    Raises
    ------
    SoundlassoError
        The file cannot be read, or names nothing.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SoundlassoError(f"cannot read the list {source!r}: {reason}") from error
    paths = [line.strip() for line in text.splitlines() if line.strip()]
    if not paths:
        raise SoundlassoError(f"the list {source!r} names no file; write one path a line")
    return paths


def _find(argument: str, out: Path) -> list[Input]:
    path = Path(argument)
    if os.path.isdir(path):
        mixes = [Input(file, out / file.parent.relative_to(path)) for file in _search(path)]
    elif os.path.lexists(path) or not glob.has_magic(argument):
        return [Input(path, out)]
    else:
        mixes = [Input(match, out) for match in _match(argument)]
    if not mixes:
        raise SoundlassoError(f"no audio file in {argument!r}; named endings are {', '.join(EXTENSIONS)}")
    return mixes


def _search(folder: Path) -> list[Path]:
    """Find the mixes in a folder and in those inside it; links to folders are not followed."""
    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent, name) for name in names]
    manifests = [path for path in files if path.name.endswith(MANIFEST_ENDING)]
    return _mixes_among(files, manifests)


def _match(pattern: str) -> list[Path]:
    """Find the mixes that match a pattern; records of earlier renders lie beside them or further up."""
    files = [Path(match) for match in glob.glob(pattern, recursive=True)]
    folders = {parent for path in files for parent in path.parents}
    manifests = [path for folder in folders for path in folder.glob(f"*{MANIFEST_ENDING}")]
    return _mixes_among(files, manifests)


def _mixes_among(files: Iterable[Path], manifests: Iterable[Path]) -> list[Path]:
    written = {os.path.realpath(output) for manifest in manifests for output in listed_outputs(manifest)}
    mixes = (path for path in files if _is_audio(path) and os.path.realpath(path) not in written)
    return sorted(path for path in mixes if os.path.isfile(path))


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def _refuse_folder(error: OSError) -> None:
    raise SoundlassoError(f"cannot search the folder {str(error.filename)!r}: {error.strerror}") from error
