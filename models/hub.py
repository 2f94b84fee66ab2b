"""Files on the Hugging Face hub: fetched whole or not at all, and checked."""

import dataclasses
import hashlib
import re
import shutil
from pathlib import Path
from typing import cast

from soundlasso.dsp.errors import ModelError

_SHA256 = re.compile(r"[0-9a-f]{64}")


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

    @property
    def address(self) -> str:
        """Where a person finds it."""
        folder = "spaces/" if self.kind == "space" else ""
        return f"https://huggingface.co/{folder}{self.repository}/blob/main/{self.path}"


def fetch(file: HubFile, folder: Path, endpoint: str | None = None) -> Path:
    """Download `file` into `folder`, unless it is there whole from an earlier try, and return its path.

    The hub's client goes on by itself where a connection broke, and leaves no part of a file behind.

    The hub's client checks only the size; here the content is hashed and compared with what it must be,
    and with what the hub says that it is.

    Raises
    ------
    ModelError
        If there is no room, no connection or no such file, or the content is not the hub's; the text
        says how to do it by hand.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

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
    needed, free = 2 * file.size_bytes, shutil.disk_usage(folder).free  # the download and what is made of it
    if free < needed:
        raise ModelError(
            f"{str(folder)!r} has {free / 1e9:.1f} GB free; {file.path!r} needs {needed / 1e9:.1f} GB"
        )


def _check_content(path: Path, told: str, file: HubFile) -> None:
    """Compare a file's hash; small ones carry a git hash on the hub instead, and are checked by use."""
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    begins, _, ends = file.sha256.partition("…") if "…" in file.sha256 else (file.sha256, "", "")
    known = found.startswith(begins) and found.endswith(ends)
    if known and (found == told or not _SHA256.fullmatch(told)):
        return
    path.unlink()
    expected = told[:8] if known else file.sha256
    raise ModelError(
        f"{file.address} came damaged, or is another file than it was: its SHA-256 is {found[:8]}, "
        f"not {expected}; get it again"
    )


def _connection_errors() -> tuple[type[Exception], ...]:
    """Return what the hub's client raises; the HTTP library below it differs between releases."""
    from huggingface_hub.errors import HfHubHTTPError

    return cast(tuple[type[Exception], ...], HfHubHTTPError.__bases__)  # that library's error, and OSError


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
