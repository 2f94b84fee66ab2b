"""Read the tensors of a torch checkpoint without running anything that is in it.

A checkpoint (.ckpt, .pt, .bin) is a zip archive with one pickle, which names
functions to call, and one file of raw numbers for each storage. This unpickler
knows a dozen names, each bound to a harmless stand-in of our own that a pickle can
call but not change, and refuses all others. Tensors stay promises until they are
asked for, so an optimiser's state in the same file is never read.
"""

import io
import math
import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from soundlasso.dsp.errors import ModelError

MOST_PICKLE_BYTES = 64 << 20  # of names and shapes; AudioSep's are under 2 MB
MOST_AXES = 8
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
# All that zipfile and pickle raise for damaged files.
_BAD_ZIP = (zipfile.BadZipFile, struct.error, LookupError, RuntimeError, ValueError, EOFError)
_BAD_PICKLE = (
    pickle.UnpicklingError, AttributeError, TypeError, ValueError, LookupError, ArithmeticError, EOFError,
    MemoryError, RecursionError,
)  # fmt: skip


class PromisedStorage(NamedTuple):
    """Raw numbers in the archive: the file's key and the type of its numbers."""

    key: str
    dtype: torch.dtype


class PromisedTensor(NamedTuple):
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
        except _BAD_ZIP as error:
            raise ModelError(
                f"{str(path)!r} is not a torch checkpoint: {error}; save it with torch 1.6 or later"
            ) from error
        except OSError as error:
            raise ModelError(f"cannot read {str(path)!r}: {error.strerror}") from error
        try:
            self._root = self._check_members()
            self._check_byte_order()
            self.tree: Any = self._unpickle()
        except BaseException:
            self._zip.close()
            raise

    def close(self) -> None:
        """Close the file; promises can no longer be kept."""
        self._zip.close()

    def read_all(self, promises: Mapping[str, PromisedTensor]) -> dict[str, Tensor]:
        """Return the numbers that were promised, by the same names.

        Many tensors may share one storage, but no checkpoint has more numbers than its file.
        """
        claimed = sum(math.prod(told.shape) * told.storage.dtype.itemsize for told in promises.values())
        if claimed > self.path.stat().st_size:
            raise ModelError(f"{str(self.path)!r} claims more bytes than it has")
        return {name: self._read(promised) for name, promised in promises.items()}

    def _read(self, promised: PromisedTensor) -> Tensor:
        content = bytearray(self._member(f"data/{promised.storage.key}"))
        dtype, count = promised.storage.dtype, math.prod(promised.shape)
        if (
            len(content) % dtype.itemsize
            or not _is_dense(promised)
            or not 0 <= promised.offset <= len(content) // dtype.itemsize - count
        ):
            raise ModelError(f"{str(self.path)!r} holds a tensor that is not dense or not whole")
        numbers = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        return numbers[promised.offset : promised.offset + count].reshape(promised.shape).clone()

    def _member(self, name: str) -> bytes:
        """Return the content of a file in the archive; zipfile checks its CRC-32."""
        try:
            return self._zip.read(f"{self._root}/{name}")
        except (*_BAD_ZIP, OSError) as error:
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

    def _check_byte_order(self) -> None:
        """Refuse what would be read as other numbers; torch before 2.1 did not write the order down."""
        if f"{self._root}/byteorder" in self._zip.namelist() and self._member("byteorder") != b"little":
            raise ModelError(f"{str(self.path)!r} was saved on a big-endian machine, which is not read")

    def _unpickle(self) -> Any:
        try:
            content = self._member("data.pkl")
            _check_memo(content)
            return _Unpickler(io.BytesIO(content)).load()
        except _Refused as refused:
            raise ModelError(
                f"{str(self.path)!r} asks for {refused.args[0]!r}, "
                "which is no tensor, number or container; it was not run"
            ) from refused
        except _BAD_PICKLE as error:
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
    if not all(0 <= size < 1 << 31 for size in tensor.shape):
        return False
    strides = [math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape))]
    found = zip(tensor.shape, tensor.stride, strides, strict=True)  # an axis of one may have any stride
    return all(size == 1 or stride == dense for size, stride, dense in found) or 0 in tensor.shape


class _Refused(Exception):
    """The pickle names something outside the list."""


class _StandIn:
    """A function that a pickle may call. Of a plain function it could set attributes, too."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it changes a function")


class _Dict(dict[Any, Any]):
    """Stands for OrderedDict."""

    def __setstate__(self, state: object) -> None:
        """Ignore the attributes that torch hangs on a state dict: versions of its modules."""


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: object) -> PromisedTensor:
    if not isinstance(storage, PromisedStorage) or not len(shape) == len(stride) <= MOST_AXES:
        raise pickle.UnpicklingError("a tensor has no storage, or too many axes, or not a stride for each")
    return PromisedTensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


def _parameter(tensor: object, *_: object) -> object:
    return tensor


class _NumpyType:
    """Stands for numpy.dtype: one plain number, such as ``f8``."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[biuf][1248]", code):
            raise pickle.UnpicklingError(f"numpy type {code[:20]!r} is not a plain number")
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and the like: checkpoints are written on little-endian machines."""


def _numpy_scalar(kind: _NumpyType, content: bytes) -> float:
    return float(np.frombuffer(content, "<" + kind.code)[0])


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError("bytes are not encoded as latin1")
    return text.encode("latin1")


_KNOWN: dict[str, _StandIn | torch.dtype] = {
    "collections.OrderedDict": _StandIn(_Dict),
    "torch.Size": _StandIn(tuple),
    "torch._utils._rebuild_tensor_v2": _StandIn(_tensor),
    "torch._utils._rebuild_parameter": _StandIn(_parameter),
    "numpy.core.multiarray.scalar": _StandIn(_numpy_scalar),
    "numpy._core.multiarray.scalar": _StandIn(_numpy_scalar),
    "numpy.dtype": _StandIn(_NumpyType),
    "_codecs.encode": _StandIn(_encode),
    "builtins.set": _StandIn(set),
    "__builtin__.set": _StandIn(set),
    **{f"torch.{name}": dtype for name, dtype in _STORAGES.items()},
}


def _check_memo(content: bytes) -> None:
    """Refuse memo places beyond the number of things: Python makes room up to the highest one."""
    for opcode, place, _ in pickletools.genops(content):
        if opcode.name.endswith("PUT") and place is not None and place > len(content):
            raise pickle.UnpicklingError(f"it numbers a thing {place}, with {len(content)} bytes in all")


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
        is_known = kind == "storage" and isinstance(dtype, torch.dtype)
        if not is_known or not isinstance(key, str) or not key.isalnum():
            raise pickle.UnpicklingError("it has a storage of an unknown kind")
        return PromisedStorage(key, dtype)
