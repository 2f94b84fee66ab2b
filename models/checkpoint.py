"""Weights: safetensors whose file name carries their SHA-256, and networks filled strictly from them.

A name ends in the first eight hex digits of the content's hash, as
``minilm-1a2b3c4d.safetensors``; `load_safetensors` refuses a file whose content
says otherwise. The whole file is read before it is parsed and never mapped: a
mapped file that shrinks would kill the process.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from soundlasso.dsp.errors import ModelError
from soundlasso.models.atomic import write_whole as write_whole

HASH_DIGITS = 8
HARMLESS = ("position_ids", "token_type_ids", "num_batches_tracked")  # counters that some files carry
Network = TypeVar("Network", bound=nn.Module)
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_NAMED = re.compile(rf"-([0-9a-f]{{{HASH_DIGITS}}})\.\w+$")


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
    content = read_checked(path)
    try:
        return _views(content)
    except (ValueError, LookupError, TypeError, RuntimeError) as error:
        raise ModelError(f"{str(path)!r} is not a safetensors file: {error}") from error


def read_checked(path: Path) -> bytearray:
    """Return the content of `path` after checking it against the hash in its name, or raise ModelError."""
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
    return content


def parse_safetensors(content: bytes, path: Path) -> dict[str, Tensor]:
    """Return the tensors in `content`; `path` is for the error message only."""
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, LookupError) as error:  # the latter for kinds of numbers that torch has not
        raise ModelError(f"{str(path)!r} is not a safetensors file: {error}") from error


def check_tensors(tensors: Mapping[str, Tensor], network: nn.Module, what: str) -> dict[str, Tensor]:
    """Return the tensors of `network` from `tensors` as float32, each checked.

    Raises
    ------
    ModelError
        If a tensor is missing, not expected, of another shape or not finite. Only the counters in
        `HARMLESS` may be there or not.
    """
    expected = {name: tensor.shape for name, tensor in network.state_dict().items() if not _is_harmless(name)}
    given = {name: tensor for name, tensor in tensors.items() if not _is_harmless(name)}
    both = [name for name in expected if name in given]
    faults = {
        "missing": expected.keys() - given.keys(),
        "not expected": given.keys() - expected.keys(),
        "of another shape": {name for name in both if given[name].shape != expected[name]},
        "not finite numbers": {name for name in both if not _is_finite(given[name])},
    }
    told = [f"{_some(names)} {fault}" for fault, names in faults.items() if names]
    if told:
        raise ModelError(f"{what} does not fit {type(network).__name__}: {'; '.join(told)}")
    return {name: given[name].float() for name in expected}


def fill(network: Network, tensors: Mapping[str, Tensor], what: str) -> Network:
    """Give a network built on the meta device its tensors, strictly, and return it for inference.

    Building on meta draws no random weights, which is faster and leaves the caller's random state alone.
    """
    network.load_state_dict(check_tensors(tensors, network, what), strict=False, assign=True)
    for name, buffer in dict(network.named_buffers()).items():
        if buffer.is_meta:  # one of the harmless: counts up, or all zero
            owner, _, leaf = name.rpartition(".")
            value = torch.zeros_like(buffer, device="cpu")
            value += torch.arange(buffer.shape[-1]) if leaf == "position_ids" else 0
            setattr(network.get_submodule(owner), leaf, value)
    return network.eval().requires_grad_(False)


def _is_harmless(name: str) -> bool:
    return name.rpartition(".")[2] in HARMLESS


def _is_finite(tensor: Tensor) -> bool:
    return tensor.dtype in _FLOATS and bool(tensor.isfinite().all())


def _some(names: Iterable[str]) -> str:
    """Return the first three names and how many more there are."""
    first, more = sorted(names)[:3], len(list(names)) - 3
    return ", ".join(map(repr, first)) + (f" and {more} more" if more > 0 else "")


def read_file(path: Path) -> bytes:
    """Return the content of a file of the user's, or raise ModelError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _read(path: Path) -> bytearray:
    """Return the file's content, in memory that tensors may share."""
    try:
        with path.open("rb") as file:
            content = bytearray(os.fstat(file.fileno()).st_size)
            del content[file.readinto(content) :]
            return content
    except OSError as error:
        raise ModelError(f"cannot read weights {str(path)!r}: {error.strerror}") from error


def _views(content: bytearray) -> dict[str, Tensor]:
    """Return the tensors of a file whose hash was checked, in its own memory.

    The library's reader copies each, which for a text tower is half a gigabyte more.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    numbers = torch.frombuffer(content, dtype=torch.uint8)[start:]
    return {
        name: numbers[slice(*told["data_offsets"])].view(_DTYPES[told["dtype"]]).reshape(told["shape"])
        for name, told in header.items()
        if name != "__metadata__"
    }
