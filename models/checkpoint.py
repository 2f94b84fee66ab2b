"""Read and write weights as safetensors whose file name carries their SHA-256.

A name ends in the first eight hex digits of the content's hash, as
``minilm-1a2b3c4d.safetensors``; `load_safetensors` refuses a file whose content
says otherwise. The whole file is read before it is parsed and never mapped: a
mapped file that shrinks would kill the process.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from soundlasso.dsp.errors import ModelError

HASH_DIGITS = 8
_NAMED = re.compile(rf"-([0-9a-f]{{{HASH_DIGITS}}})\.safetensors$")


def save_safetensors(tensors: Mapping[str, Tensor], folder: Path, stem: str) -> Path:
    """Write `tensors` as ``folder/stem-<hash>.safetensors`` and return its path, the reverse of loading.

    The file appears whole or not at all: it is written beside its place, synced, then renamed.
    """
    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    digits = hashlib.sha256(content).hexdigest()[:HASH_DIGITS]
    path = folder / f"{stem}-{digits}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return path


def load_safetensors(path: Path | str) -> dict[str, Tensor]:
    """Return the tensors of `path` after checking them against the hash in its name.

    Raises
    ------
    ModelError
        If the file is missing, has no hash in its name, is damaged or is not safetensors.
    """
    path = Path(path)
    named = _NAMED.search(path.name)
    if named is None:
        raise ModelError(
            f"weights {path.name!r} carry no hash in their name; expected 'lariat-0123abcd.safetensors' or so"
        )
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()[:HASH_DIGITS]
    if found != named[1]:
        raise ModelError(
            f"weights {str(path)!r} are damaged: the name says {named[1]}, "
            f"the content hashes to {found}; get them again"
        )
    return parse_safetensors(content, path)


def parse_safetensors(content: bytes, path: Path) -> dict[str, Tensor]:
    """Return the tensors in `content`; `path` is for the error message only."""
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise ModelError(f"{str(path)!r} is not a safetensors file: {error}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that no reader, and no crash, ever sees a part of it."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read weights {str(path)!r}: {error.strerror}") from error
