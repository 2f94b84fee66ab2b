"""Read the tensors of a torch checkpoint without running anything that is in it.

A checkpoint (.ckpt, .pt, .bin) is a zip archive with one pickle, which names
functions to call, and one file of raw numbers for each storage. This unpickler
knows a dozen names, each bound to a harmless stand-in of our own, and refuses all
others. Tensors stay promises until they are asked for, so an optimiser's
state in the same file is never read.
"""

import io
import math
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soundlasso.dsp.errors import ModelError

MOST_PICKLE_BYTES = 64 << 20  # of names and shapes; AudioSep's are under 2 MB
_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_BAD_ZIP = (
    zipfile.BadZipFile,
    KeyError,
    NotImplementedError,
    RuntimeError,
    EOFError,
)  # all that zipfile raises
_BAD_PICKLE = (pickle.UnpicklingError, AttributeError, TypeError, ValueError, LookupError, MemoryError)


@dataclass(frozen=True)
class PromisedStorage:
    """Raw numbers in the archive: the file's key and the type of its numbers."""

    key: str
    dtype: torch.dtype


@dataclass(frozen=True)
class PromisedTensor:
    """A tensor that `TorchArchive.read` can fetch."""

    storage: PromisedStorage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class TorchArchive:
    """An open checkpoint: `tree` is what was pickled, with promises in place of tensors.

    Raises
    ------
    ModelError
        If the file is not a torch archive, is damaged, or its pickle asks for anything but tensors,
        numpy scalars and containers; the text names what it asks for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ModelError(
                f"{str(path)!r} is not a torch checkpoint: {error}; save it with torch 1.6 or later"
            ) from error
        except OSError as error:
            raise ModelError(f"cannot read {str(path)!r}: {error.strerror}") from error
        try:
            self._root = self._check_members()
            self.tree: Any = self._unpickle()
        except BaseException:
            self._zip.close()
            raise

    def close(self) -> None:
        """Close the file; promises can no longer be kept."""
        self._zip.close()

    def read(self, promised: PromisedTensor) -> Tensor:
        """Return the numbers that were promised."""
        content = bytearray(self._member(f"data/{promised.storage.key}"))
        dtype, count = promised.storage.dtype, math.prod(promised.shape)
        numbers = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        if not _is_dense(promised) or not 0 <= promised.offset <= len(numbers) - count:
            raise ModelError(f"{str(self.path)!r} holds a tensor that is not dense or not whole")
        return numbers[promised.offset : promised.offset + count].reshape(promised.shape).clone()

    def _member(self, name: str) -> bytes:
        """Return the content of a file in the archive; zipfile checks its CRC-32."""
        try:
            return self._zip.read(f"{self._root}/{name}")
        except _BAD_ZIP as error:
            raise ModelError(f"{str(self.path)!r} is damaged: {error}") from error

    def _check_members(self) -> str:
        """Return the name of the archive's root folder."""
        members = self._zip.infolist()
        inflated = sum(member.file_size for member in members)
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ModelError(f"{str(self.path)!r} is compressed inside; torch never writes that")
        if inflated > self.path.stat().st_size:
            raise ModelError(f"{str(self.path)!r} claims more bytes than it has")
        pickles = [member for member in members if member.filename.count("/") == 1]
        pickles = [member for member in pickles if member.filename.endswith("/data.pkl")]
        if len(pickles) != 1 or pickles[0].file_size > MOST_PICKLE_BYTES:
            raise ModelError(f"{str(self.path)!r} is a zip file but not a torch checkpoint")
        return pickles[0].filename.partition("/")[0]

    def _unpickle(self) -> Any:
        try:
            return _Unpickler(io.BytesIO(self._member("data.pkl"))).load()
        except _Refused as refused:
            raise ModelError(
                f"{str(self.path)!r} asks for {refused.args[0]!r}, "
                "which is no tensor, number or container; it was not run"
            ) from refused
        except (*_BAD_PICKLE, EOFError, RecursionError) as error:
            raise ModelError(f"{str(self.path)!r} is damaged: {error}") from error


def promised_tensors(tree: object) -> dict[str, PromisedTensor]:
    """Return the named tensors of a state dict, whether it stands alone or under ``"state_dict"``."""
    if isinstance(tree, Mapping) and isinstance(tree.get("state_dict"), Mapping):
        tree = tree["state_dict"]
    return dict(_named(tree)) if isinstance(tree, Mapping) else {}


def _named(tree: Mapping[Any, Any]) -> Iterator[tuple[str, PromisedTensor]]:
    for name, value in tree.items():
        if isinstance(name, str) and isinstance(value, PromisedTensor):
            yield name, value


def _is_dense(tensor: PromisedTensor) -> bool:
    if any(size < 0 for size in tensor.shape):
        return False
    strides = [math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape))]
    found = zip(tensor.shape, tensor.stride, strides, strict=True)  # an axis of one may have any stride
    return all(size == 1 or stride == dense for size, stride, dense in found) or 0 in tensor.shape


class _Refused(Exception):
    """The pickle names something outside the list."""


def _tensor(storage: PromisedStorage, offset: int, shape: Any, stride: Any, *_: object) -> PromisedTensor:
    return PromisedTensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


def _parameter(tensor: PromisedTensor, *_: object) -> PromisedTensor:
    return tensor


class _NumpyType:
    """Stands for numpy.dtype: one plain number, such as ``f8``."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[biuf][1248]", code):
            raise pickle.UnpicklingError(f"numpy type {code!r} is not a plain number")
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and the like: checkpoints are written on little-endian machines."""


def _numpy_scalar(kind: _NumpyType, content: bytes) -> float:
    return float(np.frombuffer(content, "<" + kind.code)[0])


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes are encoded as {encoding!r}, not latin1")
    return text.encode("latin1")


_KNOWN: dict[str, Callable[..., Any] | torch.dtype] = {
    "collections.OrderedDict": OrderedDict,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy._core.multiarray.scalar": _numpy_scalar,
    "numpy.dtype": _NumpyType,
    "_codecs.encode": _encode,
    **{f"torch.{name}": dtype for name, dtype in _STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Knows the names above and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """Return our stand-in for ``module.name``."""
        try:
            return _KNOWN[f"{module}.{name}"]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> PromisedStorage:
        """Return the promise of a storage: torch pickles ("storage", type, key, device, numbers)."""
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not str(key).isalnum():
            raise pickle.UnpicklingError(f"unknown storage {pid!r}")
        return PromisedStorage(str(key), dtype)
