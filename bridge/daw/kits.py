"""The files for each DAW, and how they get to where it looks for them."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from soundlasso.bridge.audiofile_write import write_whole
from soundlasso.dsp.errors import SoundlassoError

DEFAULT_PORT = 17770
COMMAND_MARK, PORT_MARK = "@COMMAND@", "@PORT@"


@dataclass(frozen=True, slots=True)
class Kit:
    """The files for one DAW.

    Attributes
    ----------
    name
        As the command takes it, and the folder of the files in the package.
    title
        Whom it is for, and what it holds.
    checked
        How its files were tried out.
    """

    name: str
    title: str
    checked: str


KITS = (
    Kit(
        "reaper",
        "REAPER: pull sounds out of the selected items; tracks as live slots",
        "checked against the documented API, not run",
    ),
    Kit(
        "ardour",
        "Ardour: pull sounds out of the selected regions; set a live slot's query",
        "run in the Lua of Ardour 7.3, without its windows",
    ),
    Kit(
        "bitwig",
        "Bitwig Studio: live slots as a controller",
        "checked against the documented controller API, not run",
    ),
    Kit("supercollider", "SuperCollider: a class with its help page", "run in sclang 3.13"),
    Kit("puredata", "Pure Data: an object with its help patch", "run in Pure Data 0.53"),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """One file to be written."""

    path: Path
    data: bytes


def find_kit(name: str) -> Kit:
    """Return a kit by its name.

    Raises
    ------
    SoundlassoError
        There is none.
    """
    for kit in KITS:
        if kit.name == name:
            return kit
    raise SoundlassoError(f"no files for {name!r}; choose one of {', '.join(kit.name for kit in KITS)}")


def plan_kit(kit: Kit, folder: Path, port: int = DEFAULT_PORT) -> list[Planned]:
    """Fill in what a script must know, and say where each file goes; nothing is written.

    Parameters
    ----------
    kit
        Whose files.
    folder
        Where they go.
    port
        Where the OSC server listens.
    """
    root = files("soundlasso.bridge.daw") / kit.name
    marks = {COMMAND_MARK: _in_quotes(command()), PORT_MARK: str(port)}
    return [Planned(folder / name, _filled(file.read_text("utf-8"), marks)) for name, file in _walk(root)]


def install_kit(kit: Kit, folder: Path, port: int = DEFAULT_PORT, *, overwrite: bool = False) -> list[Path]:
    """Write the files of a kit, each whole or not at all.

    Parameters
    ----------
    overwrite
        Whether files that are there may be replaced.

    Returns
    -------
    The files, in the order they were written.

    Raises
    ------
    SoundlassoError
        A file is there already, and then none is written; or the folder cannot be written to.
    """
    planned = plan_kit(kit, folder, port)
    check_free(planned, overwrite)
    try:
        for file in planned:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file.path, file.data)
    except OSError as error:
        raise SoundlassoError(f"cannot write to {str(folder)!r}: {error}") from error
    return [file.path for file in planned]


def check_free(planned: list[Planned], overwrite: bool) -> None:
    """Refuse to replace files.

    Raises
    ------
    SoundlassoError
        A file is there that has another content, or is no file.
    """
    for file in planned:
        if not file.path.exists() or _holds(file):
            continue
        if not overwrite or not file.path.is_file():
            raise SoundlassoError(f"{str(file.path)!r} is there already; --overwrite replaces files")


def _holds(file: Planned) -> bool:
    return file.path.is_file() and file.path.read_bytes() == file.data


def command() -> str:
    """Return what starts soundlasso from a script, by its whole path: a DAW knows no virtual environment."""
    words = [sys.executable, "-m", "soundlasso"]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def _in_quotes(text: str) -> str:
    """Escape a text for the inside of double quotes, in which Lua and JavaScript are as JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _filled(text: str, marks: dict[str, str]) -> bytes:
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return text.encode()


def _walk(folder: Traversable, under: str = "") -> Iterator[tuple[str, Traversable]]:
    """Go through the files of a folder and those below, by name."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(entry, f"{under}{entry.name}/")
        elif not entry.name.startswith("."):
            yield under + entry.name, entry
