"""Find the mixes that a command line names: files, folders and patterns."""

import glob
import os
from collections.abc import Sequence
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

    A folder is searched all the way down for audio files; its own folders are kept under ``out``. Hidden
    files and what an earlier render wrote are passed over.

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
        A folder or pattern holds no audio file.
    """
    found: dict[str, Input] = {}
    for argument in arguments:
        for mix in _find(argument, out):
            found.setdefault(os.path.realpath(mix.path), mix)
    return list(found.values())


def _find(argument: str, out: Path) -> list[Input]:
    path = Path(argument)
    if path.is_dir():
        mixes = [Input(file, out / file.parent.relative_to(path)) for file in _search(path)]
    elif path.exists() or not glob.has_magic(argument):
        return [Input(path, out)]
    else:
        matches = sorted(Path(match) for match in glob.glob(argument, recursive=True))
        mixes = [Input(match, out) for match in matches if match.is_file() and _is_audio(match)]
    if not mixes:
        raise SoundlassoError(f"no audio file in {argument!r}; named endings are {', '.join(EXTENSIONS)}")
    return mixes


def _search(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    written = {
        os.path.realpath(output)
        for path in files
        if path.name.endswith(MANIFEST_ENDING)
        for output in listed_outputs(path)
    }
    return [path for path in files if _is_audio(path) and os.path.realpath(path) not in written]


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
