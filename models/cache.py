"""The models in the user's cache: a folder each, with weights and a ``model.json``.

The ``model.json`` is written last and taken away first: without it a folder is not a model, so whatever
stops an import or a removal leaves none half there.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from soundlasso.dsp.errors import ModelError
from soundlasso.models.atomic import write_whole

CACHE_VARIABLE = "SOUNDLASSO_CACHE"
MANIFEST = "model.json"


@dataclasses.dataclass(frozen=True)
class Installed:
    """A model in the cache, as its ``model.json`` tells it.

    `files` gives each file's SHA-256; `separator`, `text`, `tokenizer` and, where it was made, `graph` are
    among them. `encoder` is the kind of its text tower: ``"clap"`` or ``"clip"``.
    """

    name: str
    source: str
    licence: str
    source_sha256: str
    separator: str
    text: str
    tokenizer: str
    files: dict[str, str]
    encoder: str = "clap"
    graph: str = ""

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return cache_folder() / self.name


def cache_folder() -> Path:
    """Return the folder of all imported models; the variable SOUNDLASSO_CACHE moves it."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return (Path(chosen) if chosen else platformdirs.user_cache_path("soundlasso")) / "models"


def names() -> list[str]:
    """Return the names of the models in the cache, also of those whose ``model.json`` is damaged."""
    return sorted(path.parent.name for path in cache_folder().glob(f"*/{MANIFEST}"))


def read(name: str) -> Installed:
    """Return a model of the cache.

    Raises
    ------
    ModelError
        If its ``model.json`` is damaged.
    """
    path = cache_folder() / name / MANIFEST
    try:
        told = json.loads(path.read_bytes())
        return Installed(**{**told, "name": name})  # for the folder may have been renamed
    except OSError as error:
        raise ModelError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"{str(path)!r} is damaged: {error}; get or import the model {name!r} again, or remove it"
        ) from error


def installed() -> dict[str, Installed]:
    """Return the models in the cache by name, without those that cannot be read."""
    found = {}
    for name in names():
        with contextlib.suppress(ModelError):
            found[name] = read(name)
    return found


@contextlib.contextmanager
def changing(name: str, patience_s: float = 0.0) -> Iterator[Path]:
    """Let nobody else change a model, and give its folder; what is not the model's is then swept out.

    Raises
    ------
    ModelError
        If another process, or thread, is still changing it after `patience_s`, or the system refuses.
    """
    folder = cache_folder() / name
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with FileLock(cache_folder() / f".{name}.lock").acquire(timeout=patience_s):
            try:
                yield folder
            finally:
                _sweep(folder)
    except Timeout as error:
        raise ModelError(
            f"the model {name!r} is being fetched, imported or removed elsewhere; wait for that"
        ) from error
    except OSError as error:
        raise ModelError(
            f"cannot change the model {name!r} in {str(cache_folder())!r}: {error.strerror}"
        ) from error


def settle(model: Installed) -> None:
    """Write the manifest, which makes the folder a model, or another one than it was."""
    content = json.dumps(dataclasses.asdict(model), indent=2).encode()
    write_whole(model.folder / MANIFEST, content)


def forget(name: str) -> None:
    """Take a model out of the cache, or what a stopped import left of one."""
    with changing(name) as folder:
        (folder / MANIFEST).unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, or raise ModelError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _sweep(folder: Path) -> None:
    """Delete what is not the model's: parts of an import that was stopped, files of an earlier one."""
    if not folder.exists():
        return
    if not (folder / MANIFEST).exists():
        shutil.rmtree(folder)
        return
    with contextlib.suppress(ModelError):  # where nobody can tell what belongs, all of it stays
        belongs = {*read(folder.name).files, MANIFEST}
        for path in folder.iterdir():
            if path.name not in belongs:
                path.unlink()
