"""Find the mixes that a command line names: files, folders, patterns, and a list of them."""

import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from soundlasso.bridge.audiofile import EXTENSIONS, UNREAD_EXTENSIONS, how_to_convert
from soundlasso.bridge.manifest import MANIFEST_ENDING, listed_outputs
from soundlasso.bridge.naming import collision_key, safe_name
from soundlasso.dsp.errors import SoundlassoError

Tell = Callable[[str], None]


class Input(NamedTuple):
    """A mix, and the folder its files go to."""

    path: Path
    out: Path


def _ignore(text: str) -> None:
    """Tell nobody."""


def find_inputs(
    arguments: Sequence[str], out: Path, *, listed: Sequence[str] = (), tell: Tell = _ignore
) -> list[Input]:
    """Find all mixes, each once, in a lasting order.

    A folder is searched all the way down for audio files; its own folders are kept under ``out``. Folders
    and patterns pass over what is hidden, and all but what is named one by one pass over what an earlier
    render wrote. Where mixes of different folders have the same name, the folders of all mixes are kept
    under ``out``, from the one that they share.

    Parameters
    ----------
    arguments
        Paths of files and folders, and patterns such as ``takes/*.wav`` (``**`` reaches down).
    out
        The folder for the files.
    listed
        More of them, from a list that a program may have made.
    tell
        Called with what was passed over and may have been meant.

    Returns
    -------
    list of Input
        A file that is named but is not there is among them, for its error to be told with the others'.

    Raises
    ------
    SoundlassoError
        A folder or pattern holds no audio file, a folder cannot be searched, or a list names only what
        earlier renders wrote.
    """
    found: dict[str, Input] = {}
    for argument in (*arguments, *_without_outputs(listed, tell)):
        for mix in _find(argument, out, tell):
            found.setdefault(os.path.realpath(mix.path), mix)
    return _kept_apart(list(found.values()), out)


def _without_outputs(listed: Sequence[str], tell: Tell) -> list[str]:
    """Leave out of a list what earlier renders wrote, which `find` gives as readily as mixes."""
    written = _outputs(_manifests_near(Path(path) for path in listed))
    mixes = [path for path in listed if os.path.realpath(path) not in written]
    if listed and not mixes:
        raise SoundlassoError(f"the list names no mix; {_stems(len(listed))} of earlier renders are none")
    if len(mixes) < len(listed):
        tell(f"passed over {_stems(len(listed) - len(mixes))} of earlier renders")
    return mixes


def _stems(count: int) -> str:
    return f"{count} stem{'s' if count > 1 else ''}"


def _kept_apart(mixes: list[Input], out: Path) -> list[Input]:
    """Keep the folders of all mixes when two of different folders would have their files in one."""
    folders = [Path(os.path.abspath(mix.path.parent)) for mix in mixes]
    named = [collision_key(mix.out / safe_name(mix.path.stem)) for mix in mixes]
    places = Counter(name for name, _ in set(zip(named, folders, strict=True)))
    if max(places.values(), default=0) < 2:
        return mixes
    try:
        shared = os.path.commonpath(folders)
    except ValueError:  # different drives share nothing
        return mixes
    return [
        Input(mix.path, out / folder.relative_to(shared)) for mix, folder in zip(mixes, folders, strict=True)
    ]


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


def _find(argument: str, out: Path, tell: Tell) -> list[Input]:
    path = Path(argument)
    if os.path.isdir(path):
        files, manifests = _search(path)
        mixes = [Input(file, out / file.parent.relative_to(path)) for file in _mixes_among(files, manifests)]
    elif os.path.lexists(path) or not glob.has_magic(argument):
        return [Input(path, out)]
    else:
        files = [Path(match) for match in glob.glob(argument, recursive=True)]
        mixes = [Input(file, out) for file in _mixes_among(files, _manifests_near(files))]
    _tell_unread(argument, files, tell)
    if not mixes:
        raise SoundlassoError(f"no audio file in {argument!r}; named endings are {', '.join(EXTENSIONS)}")
    return mixes


def _search(folder: Path) -> tuple[list[Path], list[Path]]:
    """Find the files in a folder and in those inside it, and which are records; no link is followed."""
    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent, name) for name in names]
    return files, [path for path in files if path.name.endswith(MANIFEST_ENDING)]


def _tell_unread(argument: str, files: Iterable[Path], tell: Tell) -> None:
    unread = sorted(path for path in files if _ends_in(path, UNREAD_EXTENSIONS))
    if unread:
        endings = ", ".join(sorted({path.suffix.lower() for path in unread}))
        many = f"{len(unread)} files" if len(unread) > 1 else "a file"
        tell(f"passed over {many} in {argument!r} ({endings}); {how_to_convert(unread[0])}")


def _manifests_near(files: Iterable[Path]) -> list[Path]:
    """Find the records of renders that may have written files: they lie beside them or further up."""
    folders = filter(os.path.isdir, {parent for path in files for parent in path.parents})
    return [path for folder in folders for path in folder.glob(f"*{MANIFEST_ENDING}")]


def _outputs(manifests: Iterable[Path]) -> set[str]:
    return {os.path.realpath(output) for manifest in manifests for output in listed_outputs(manifest)}


def _mixes_among(files: Iterable[Path], manifests: Iterable[Path]) -> list[Path]:
    written = _outputs(manifests)
    mixes = (path for path in files if _ends_in(path, EXTENSIONS) and os.path.realpath(path) not in written)
    return sorted(path for path in mixes if os.path.isfile(path))


def _ends_in(path: Path, endings: Sequence[str]) -> bool:
    return path.suffix.lower() in endings and not path.name.startswith(".")


def _refuse_folder(error: OSError) -> None:
    raise SoundlassoError(f"cannot search the folder {str(error.filename)!r}: {error.strerror}") from error
