"""Files on the Hugging Face hub: fetched whole or not at all, and checked."""

import dataclasses
import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

from soundlasso.dsp.errors import ModelError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_HASH = re.compile(r"[0-9a-f]{40}")


@dataclasses.dataclass(frozen=True)
class HubFile:
    """A file of a repository; `kind` is ``"model"`` or ``"space"``.

    `sha256` is what its content must hash to, as far as that is known: ``…`` stands for digits that are
    not.
    """

    repository: str
    path: str
    size_bytes: int
    kind: str = "model"
    sha256: str = "…"
    licence: str = "not named there"

    @property
    def address(self) -> str:
        """Where a person finds it."""
        folder = "spaces/" if self.kind == "space" else ""
        return f"https://huggingface.co/{folder}{self.repository}/blob/main/{self.path}"


Tell = Callable[[HubFile], None]
"""Told of each file before it is fetched."""


def fetch(file: HubFile, folder: Path, endpoint: str | None = None, tell: Tell | None = None) -> Path:
    """Download `file` into `folder`, unless it is there whole from an earlier try, and return its path.

    The hub's client goes on by itself where a connection broke, and leaves no part of a file behind. It
    checks only the size; here the content is hashed and compared with what it must be, and with what the
    hub says that it is.

    Raises
    ------
    ModelError
        If there is no room, no connection or no such file, or the content is not the hub's; the text
        says how to do it by hand.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    if tell is not None:
        tell(file)
    folder.mkdir(parents=True, exist_ok=True)
    _check_room(file, folder)
    try:
        url = hf_hub_url(file.repository, file.path, repo_type=file.kind, endpoint=endpoint)
        told = get_hf_file_metadata(url, endpoint=endpoint).etag or ""
        path = Path(
            hf_hub_download(
                file.repository, file.path, repo_type=file.kind, local_dir=folder, endpoint=endpoint
            )
        )
    except _connection_errors() as error:
        raise ModelError(
            f"cannot fetch {file.address}: {_first_line(error)}; download it yourself, then: "
            "soundlasso models import FILE --as NAME"
        ) from error
    _check_content(path, told, file)
    return path


def _check_room(file: HubFile, folder: Path) -> None:
    fetched = folder / file.path
    there = min(file.size_bytes, fetched.stat().st_size) if fetched.exists() else 0
    needed = 2 * file.size_bytes - there  # the download and what is made of it
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"{str(folder)!r} has {free / 1e9:.1f} GB free; {file.path!r} needs {needed / 1e9:.1f} GB"
        )


def _check_content(path: Path, told: str, file: HubFile) -> None:
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    begins, _, ends = file.sha256.partition("…") if "…" in file.sha256 else (file.sha256, "", "")
    known = found.startswith(begins) and found.endswith(ends)
    if not known:
        fault = f"or is another file than it was: its SHA-256 is {found[:8]}, not {file.sha256}"
    elif not _is_told(path, found, told):
        fault = f"for the hub says that its hash is {told[:8]}"
    else:
        return
    path.unlink()
    raise ModelError(f"{file.address} came damaged, {fault}; get it again")


def _is_told(path: Path, sha256: str, told: str) -> bool:
    """Compare a file with the hash that the hub tells of it: git's own for small ones."""
    if _GIT_HASH.fullmatch(told):
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == told
    return sha256 == told or not _SHA256.fullmatch(told)


def _connection_errors() -> tuple[type[Exception], ...]:
    """Return what the hub's client raises; the HTTP library below it differs between releases."""
    from huggingface_hub.errors import HfHubHTTPError

    return cast(tuple[type[Exception], ...], HfHubHTTPError.__bases__)  # that library's error, and OSError


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
