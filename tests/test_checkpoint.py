"""Weights on disk: hashes, strictness, and pickles that are read without being run."""

import io
import os
import pickle
import random
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._utils import _rebuild_sparse_tensor, _rebuild_tensor_v2

from soundlasso.dsp.errors import ModelError
from soundlasso.models.audiosep import read_separator, read_tensors, read_text_tower
from soundlasso.models.checkpoint import fill, load_safetensors, save_safetensors
from soundlasso.models.resunet import WIDTHS, ResUNet30
from tests.audiosep_rule import NARROW, narrow_network, published_shapes

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(0), "c->d": torch.ones(1)}


def same(name: str) -> str:
    return name


# Safetensors under their hash


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = save_safetensors(TENSORS, tmp_path, "net")
    loaded = load_safetensors(path)
    assert path.name.startswith("net-") and [file.name for file in tmp_path.iterdir()] == [path.name]
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], TENSORS[name]) for name in TENSORS)


def test_the_same_tensors_give_the_same_name(tmp_path: Path) -> None:
    assert save_safetensors(TENSORS, tmp_path, "net") == save_safetensors(dict(TENSORS), tmp_path, "net")


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b""])
def test_damage_is_named_with_both_hashes(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = save_safetensors(TENSORS, tmp_path, "net")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        ModelError, match=rf"the name says {path.stem[-8:]}, the content hashes to [0-9a-f]{{8}}"
    ):
        load_safetensors(path)


def test_a_missing_file_and_a_name_without_hash_say_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        load_safetensors(tmp_path / "net-01234567.safetensors")
    with pytest.raises(ModelError, match=r"'net\.safetensors' carry no hash"):
        load_safetensors(tmp_path / "net.safetensors")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_safetensors(TENSORS, tmp_path, "net")
    assert not list(tmp_path.iterdir())


# Strictness


def narrow_tensors() -> dict[str, Tensor]:
    return dict(narrow_network().state_dict())


def narrow_on_meta() -> ResUNet30:
    with torch.device("meta"):
        return ResUNet30(NARROW)


def test_a_network_is_filled_without_its_counters() -> None:
    tensors = {name: tensor for name, tensor in narrow_tensors().items() if "num_batches" not in name}
    network = fill(narrow_on_meta(), tensors, "the file")
    assert not network.training and not any(tensor.is_meta for tensor in network.state_dict().values())
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base.bn0.weight": None}, r"'base\.bn0\.weight' missing"),
        ({"base.more": torch.ones(1)}, r"'base\.more' not expected"),
        ({"base.bn0.bias": torch.ones(3)}, r"'base\.bn0\.bias' of another shape"),
        ({"base.bn0.bias": torch.full((1025,), torch.nan)}, r"'base\.bn0\.bias' not finite"),
        ({"base.bn0.bias": torch.ones(1025, dtype=torch.int64)}, r"'base\.bn0\.bias' not finite numbers"),
        (
            {"base.bn0.bias": torch.ones(1025).to(torch.float8_e4m3fn)},
            r"'base\.bn0\.bias' not finite numbers",
        ),
        ({name: None for name in published_shapes()}, r"and \d{3} more missing"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change: dict[str, Tensor | None], says: str) -> None:
    changed: dict[str, Tensor | None] = {**narrow_tensors(), **change}
    tensors = {name: tensor for name, tensor in changed.items() if tensor is not None}
    with pytest.raises(ModelError, match=f"the file does not fit ResUNet30: .*{says}"):
        fill(narrow_on_meta(), tensors, "the file")


def test_half_precision_is_read_as_float32() -> None:
    half = {name: t.half() if t.is_floating_point() else t for name, t in narrow_tensors().items()}
    assert all(
        tensor.dtype == torch.float32 for tensor in fill(narrow_on_meta(), half, "the file").parameters()
    )


# Pickles

CONTENT = {
    "state_dict": OrderedDict(TENSORS) | {"half": torch.ones(3).half(), "count": torch.tensor(7)},
    "pytorch-lightning_version": "2.0.2",
    "hyper_parameters": {"rate": np.float64(1e-3), "steps": np.int64(4)},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2, 2)}}}],
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "shape": torch.Size([1, 2]),
    "seen": {"train", "test"},
}


@pytest.mark.parametrize("content", [CONTENT, CONTENT["state_dict"]], ids=["lightning", "plain"])
def test_tensors_come_out_of_a_pickle_as_torch_reads_them(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.ckpt")
    expected = torch.load(tmp_path / "net.ckpt", weights_only=False)
    expected = expected.get("state_dict", expected)
    tensors = read_tensors(tmp_path / "net.ckpt", same)
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype


def test_a_tensor_that_views_a_larger_storage_is_read_right(tmp_path: Path) -> None:
    torch.save({"row": torch.arange(12.0).reshape(3, 4)[1]}, tmp_path / "net.pt")
    assert torch.equal(read_tensors(tmp_path / "net.pt", same)["row"], torch.arange(4.0, 8.0))


class Hostile:
    """Runs a function of its choice when it is unpickled in the usual way."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("exit 1",), "(posix|nt).system"),
        (eval, ("1 + 1",), "(__builtin__|builtins).eval"),
        (getattr, ("text", "join"), "(__builtin__|builtins).getattr"),
        (torch.load, ("x",), "torch.serialization.load"),
        (torch.hub.load, ("x",), "torch.hub.load"),
        (np.load, ("x",), "numpy.*load"),
        (_rebuild_sparse_tensor, (torch.sparse_coo, ()), "torch._utils._rebuild_sparse_tensor"),
    ],
)
def test_a_hostile_pickle_is_refused_by_name(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    name: str,
    tmp_path: Path,
) -> None:
    path = _archive(tmp_path / "net.ckpt", _protocol_two({"state_dict": Hostile(function, *arguments)}))
    with pytest.raises(ModelError, match=f"asks for '{name}', which is no tensor, number or container"):
        read_tensors(path, same)


# By hand, what Python's own pickler seldom writes: each opcode that imports, calls or changes something.
@pytest.mark.parametrize(
    ("pickled", "says"),
    [
        (b"cos\nsystem\n(S'exit 1'\ntR.", r"asks for 'os\.system'"),  # GLOBAL, REDUCE
        (b"\x8c\x02os\x8c\x06system\x93)R.", r"asks for 'os\.system'"),  # STACK_GLOBAL
        (b"(S'exit 1'\nios\nsystem\n.", r"asks for 'os\.system'"),  # INST
        (b"(cos\nsystem\nS'exit 1'\no.", r"asks for 'os\.system'"),  # OBJ
        (b"csubprocess\nPopen\n)\x81.", r"asks for 'subprocess\.Popen'"),  # NEWOBJ
        (b"csubprocess\nPopen\n)}\x92.", r"asks for 'subprocess\.Popen'"),  # NEWOBJ_EX
        (b"ctorch\nFloatStorage.to\n.", r"asks for 'torch\.FloatStorage\.to'"),  # of a known name
        (b"ccollections\nOrderedDict\n)\x81.", "is damaged"),  # NEWOBJ of a known name
        (b"\x82\x01.", "is damaged: unregistered extension code 1"),  # EXT1
        (b"\x83\x01\x00.", "is damaged: unregistered extension code 1"),  # EXT2
        (b"\x84\x01\x00\x00\x00.", "is damaged: unregistered extension code 1"),  # EXT4
        (b"Pdata\n.", "is damaged"),  # PERSID
        (b"(S'storage'\nI1\nI2\ntQ.", "is damaged: it has a storage of an unknown kind"),  # BINPERSID
        (b"\x97.", "is damaged"),  # NEXT_BUFFER
        (b"}r\xff\xff\xff\x7f.", "is damaged: it numbers a thing 2147483647, with 7 bytes"),  # LONG_BINPUT
        (b"}p2147483647\n.", "is damaged: it numbers a thing 2147483647"),  # PUT
        (b"\x95" + b"\xff" * 8 + b".", "is damaged"),  # FRAME
        (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "is damaged: bytes are not encoded as latin1"),
        (b"cnumpy\ndtype\n(S'O8'\ntR.", "is damaged: numpy type 'O8' is not a plain number"),
        *(
            (f"c{name}\n(N}}S'__doc__'\nS'changed'\nstb.".encode(), "is damaged")  # BUILD
            for name in (
                "torch._utils\n_rebuild_tensor_v2",
                "collections\nOrderedDict",
                "numpy\ndtype",
                "torch\nFloatStorage",
            )
        ),
    ],
)
def test_every_opcode_that_could_run_something_is_refused(pickled: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=says):
        read_tensors(_archive(tmp_path / "net.ckpt", pickled), same)


def test_a_pickle_cannot_change_what_it_was_promised(tmp_path: Path) -> None:
    tensor = Hostile(_rebuild_tensor_v2, _Storage("0"), 0, (4,), (1,), False, OrderedDict())
    changed = _protocol_two([tensor]).removesuffix(b"e.").removesuffix(b"a.")
    for state in (b"}S'shape'\nS'x'\ns", b"(N}S'shape'\nS'x'\nst"):
        with pytest.raises(ModelError, match="is damaged"):
            read_tensors(_archive(tmp_path / "net.ckpt", changed + state + b"ba."), same)


def test_a_pickle_cannot_hide_its_tensors(tmp_path: Path) -> None:
    class Hiding(OrderedDict[str, Tensor]):
        def __reduce__(self) -> Any:
            return OrderedDict, (), {"items": "nothing", "get": 3}, None, iter(self.items())

    torch.save(Hiding(TENSORS), tmp_path / "net.pt")
    assert read_tensors(tmp_path / "net.pt", same).keys() == TENSORS.keys()


def test_damage_anywhere_is_an_error_that_says_so(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "net.pt")
    whole = (tmp_path / "net.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "net.pt") as archive:
        pickled = archive.read("net/data.pkl")
    rng = random.Random(5)
    refused = 0
    for number in range(1500):  # every other time with the right checksum
        content = bytearray(pickled if number % 2 else whole)
        for _ in range(rng.randrange(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if number % 2:
            _archive(tmp_path / "changed.pt", bytes(content))
        else:
            (tmp_path / "changed.pt").write_bytes(content)
        try:
            read_tensors(tmp_path / "changed.pt", same)
        except ModelError:
            refused += 1
    assert refused > 500


def test_files_that_are_not_checkpoints_say_what_they_are(tmp_path: Path) -> None:
    cases = {
        "text.pt": (b"not a checkpoint", "not a torch checkpoint"),
        "legacy.pt": (pickle.dumps(119547037146038801333356, 2), "save it with torch 1.6 or later"),
        "empty.pt": (b"", "not a torch checkpoint"),
        "net.safetensors": (b"\x08\0\0\0\0\0\0\0{}      oops", "not a safetensors file"),
    }
    for name, (content, says) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=says):
            read_tensors(tmp_path / name, same)
    with pytest.raises(ModelError, match="No such file"):
        read_tensors(tmp_path / "missing.pt", same)


def test_every_truncation_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "net.pt")
    whole = (tmp_path / "net.pt").read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / "net.pt").write_bytes(whole[:length])
        with pytest.raises(ModelError):
            read_tensors(tmp_path / "net.pt", same)


def test_changed_bytes_never_give_changed_numbers(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(4.0)}, tmp_path / "net.pt")
    whole = bytearray((tmp_path / "net.pt").read_bytes())
    for at in range(0, len(whole), 13):
        changed = bytes(whole[:at]) + bytes([whole[at] ^ 4]) + bytes(whole[at + 1 :])
        (tmp_path / "net.pt").write_bytes(changed)
        try:
            tensors = read_tensors(tmp_path / "net.pt", same)
        except ModelError:
            continue
        assert torch.equal(tensors["a"], torch.arange(4.0))


def test_an_archive_that_grows_when_read_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(1 << 20))
    with pytest.raises(ModelError, match="compressed inside"):
        read_tensors(tmp_path / "bomb.pt", same)


@pytest.mark.parametrize(
    ("shape", "stride"),
    [
        ((10**12,), (0,)),
        ((9,), (1,)),
        ((2, 2), (1, 2)),
        ((-1,), (1,)),
        ((2, 2), (1,)),
        ((2**70, 0), (1, 1)),
        ((float("inf"),), (1,)),
        ((1,) * 9, (1,) * 9),
    ],
)
def test_tensors_that_overreach_their_storage_are_refused(
    shape: tuple[int, ...], stride: tuple[int, ...], tmp_path: Path
) -> None:
    hostile = _Storage("0"), 0, shape, stride, False, OrderedDict()
    path = _archive(tmp_path / "net.pt", _protocol_two({"a": Hostile(_rebuild_tensor_v2, *hostile)}))
    with pytest.raises(ModelError, match=r"not dense or not whole|damaged|claims more bytes"):
        read_tensors(path, same)


def test_a_storage_that_ends_within_a_number_is_refused(tmp_path: Path) -> None:
    hostile = _Storage("0"), 0, (2,), (1,), False, OrderedDict()
    pickled = _protocol_two({"a": Hostile(_rebuild_tensor_v2, *hostile)})
    path = _archive(tmp_path / "net.pt", pickled, bytes(9))
    with pytest.raises(ModelError, match="not dense or not whole"):
        read_tensors(path, same)


def test_many_tensors_of_one_storage_do_not_fill_the_memory(tmp_path: Path) -> None:
    shared = torch.ones(1000)
    torch.save({str(number): shared for number in range(100)}, tmp_path / "net.pt")
    with pytest.raises(ModelError, match="claims more bytes than it has"):
        read_tensors(tmp_path / "net.pt", same)


def test_numbers_of_another_byte_order_are_not_misread(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt") as saved, zipfile.ZipFile(tmp_path / "big.pt", "w") as big:
        for name in saved.namelist():
            big.writestr(name, b"big" if name.endswith("byteorder") else saved.read(name))
    with pytest.raises(ModelError, match="saved on a big-endian machine"):
        read_tensors(tmp_path / "big.pt", same)


# AudioSep's files


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the published names and shapes, and with the parts that are not needed."""
    tensors = {f"ss_model.{name}": torch.zeros(shape) for name, shape in published_shapes().items()}
    tensors["ss_model.base.bn0.num_batches_tracked"] = torch.tensor(4)
    tensors["ss_model.base.stft.conv_real.weight"] = torch.zeros(5, 1, 4)
    tensors["ss_model.base.istft.ola_window"] = torch.zeros(4)
    tensors["query_encoder.model.text_branch.pooler.dense.bias"] = torch.ones(768)
    tensors["query_encoder.model.text_projection.0.bias"] = torch.ones(512)
    tensors["query_encoder.model.audio_branch.bn0.weight"] = torch.ones(64)
    path = tmp_path_factory.mktemp("published") / "audiosep.ckpt"
    torch.save({"state_dict": tensors, "pytorch-lightning_version": "2.0.2", "lr": np.float64(1e-3)}, path)
    return path


def test_the_separator_is_taken_without_its_fourier_matrices(published: Path) -> None:
    assert WIDTHS == (32, 64, 128, 256, 384, 384)
    assert {name: tuple(t.shape) for name, t in read_separator(published).items()} == published_shapes()


@pytest.mark.parametrize("name", ["ss_model.base.more.weight", "ss_model.film.more.bias", "ss_model.more"])
def test_a_tensor_too_many_is_named(name: str, published: Path, tmp_path: Path) -> None:
    content = torch.load(published, weights_only=False)
    content["state_dict"][name] = torch.ones(1)
    torch.save(content, tmp_path / "more.ckpt")
    with pytest.raises(ModelError, match=f"'{name.removeprefix('ss_model.')}' not expected"):
        read_separator(tmp_path / "more.ckpt")


def test_the_text_tower_is_taken_from_the_same_file(published: Path) -> None:
    kind, tower = read_text_tower(published)
    assert kind == "clap" and tower.keys() == {
        "text_model.pooler.dense.bias",
        "text_projection.linear1.bias",
    }


def test_a_clap_file_as_separator_says_so_and_the_other_way_round(tmp_path: Path) -> None:
    torch.save({"state_dict": {"module.text_branch.pooler.dense.bias": torch.ones(4)}}, tmp_path / "clap.pt")
    torch.save({"base.bn0.weight": torch.ones(1025)}, tmp_path / "separator.bin")
    torch.save({"encoder.weight": torch.ones(4)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="is a CLAP text encoder, not a separator"):
        read_separator(tmp_path / "clap.pt")
    with pytest.raises(ModelError, match="is a separator without a text encoder"):
        read_text_tower(tmp_path / "separator.bin")
    with pytest.raises(ModelError, match=r"not a separator: its tensors are 'encoder\.weight'"):
        read_separator(tmp_path / "other.pt")


class _Storage:
    """Pickles as torch pickles a storage of four float32 numbers."""

    def __init__(self, key: str) -> None:
        self.pid = ("storage", torch.FloatStorage, key, "cpu", 4)


def _protocol_two(content: Any) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return obj.pid if isinstance(obj, _Storage) else None

    stream = io.BytesIO()
    Pickler(stream, 2).dump(content)
    return stream.getvalue()


def _archive(path: Path, pickled: bytes, numbers: bytes = np.arange(4, dtype="<f4").tobytes()) -> Path:
    """Write a checkpoint with that pickle and one storage, of four float32 numbers if not told otherwise."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", numbers)
    return path
