"""Models in the cache: imported whole, checked, and fetched from a stand-in for the hub."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import RobertaConfig
from typer.testing import CliRunner

from soundlasso import SeparationStream, load_model
from soundlasso.bridge.commands.models import app
from soundlasso.dsp.errors import ModelError, UnknownModelError
from soundlasso.models import catalog
from soundlasso.models.clap import CLIP
from soundlasso.models.engine import Profile
from soundlasso.models.hub import HubFile, fetch
from soundlasso.models.runtime import export_graph
from soundlasso.models.separator import shipped_weights
from tests.audiosep_rule import full_network, mixture
from tests.test_text_towers import SMALL, clap_checkpoint, clip_checkpoint, roberta_tokenizer

SAME_VECTOR = 1e-6  # of a unit vector
SAME_STEM = 1e-4  # of the peak, between runtimes
SHORTEST = Profile(0.32, 0.0, 0.0)

FILE = HubFile("someone/something", "folder/net.bin", 1000)
CONTENT = bytes(range(250)) * 4


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(catalog.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AudioSep's checkpoint in its published form, with a small text tower and rule-filled weights."""
    folder = tmp_path_factory.mktemp("published")
    config = RobertaConfig(
        vocab_size=300, max_position_embeddings=514, layer_norm_eps=1e-5, type_vocab_size=1, **SMALL
    )
    _, _, tower = clap_checkpoint(config, 512)
    tensors = {f"ss_model.{name}": tensor for name, tensor in full_network().state_dict().items()}
    tensors |= {f"query_encoder.model.{name}": tensor for name, tensor in tower.items()}
    torch.save({"state_dict": tensors, "pytorch-lightning_version": "2.0.2"}, folder / "audiosep.ckpt")
    roberta_tokenizer(folder)
    return folder / "audiosep.ckpt"


def imported(checkpoint: Path, name: str = "mine") -> catalog.Installed:
    return catalog.import_file(checkpoint, name, tokenizer=checkpoint.with_name("tokenizer.json"))


def test_an_imported_model_separates_without_its_checkpoint(checkpoint: Path) -> None:
    model = imported(checkpoint)
    assert model.source_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert catalog.installed() == {"mine": model} and catalog.verify("mine") == model
    separator = catalog.load("mine")
    assert separator.weights_hash == model.files[model.separator][:8]
    stream = SeparationStream(separator, "drums", 32000, 1, profile=SHORTEST)
    assert stream.process(np.zeros((1, 100), np.float32)).shape == (1, 1, 100)


def test_a_second_import_under_a_name_replaces_the_first(checkpoint: Path, cache: Path) -> None:
    stale = cache / "models" / "mine" / "separator-00000000.safetensors"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an import that was stopped")
    assert catalog.installed() == {}
    model = imported(checkpoint)
    assert {path.name for path in stale.parent.iterdir()} == {*model.files, catalog.MANIFEST}


def test_damage_is_found_by_name(checkpoint: Path, cache: Path) -> None:
    model = imported(checkpoint)
    path = cache / "models" / "mine" / model.text
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"'{model.text}' of the model 'mine' is damaged"):
        catalog.verify("mine")
    with pytest.raises(ModelError, match="damaged"):
        catalog.load("mine")
    path.unlink()
    with pytest.raises(ModelError, match="No such file"):
        catalog.verify("mine")


def test_what_cannot_be_imported_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    torch.save({"state_dict": {"ss_model.base.bn0.weight": torch.ones(3)}}, tmp_path / "bad.ckpt")
    with pytest.raises(ModelError, match="of another shape"):
        catalog.import_file(tmp_path / "bad.ckpt", "mine")
    assert not list(cache.glob("models/mine/*"))


def test_an_import_that_stops_in_the_middle_leaves_what_was_there(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = imported(checkpoint)
    before = {path: path.read_bytes() for path in (cache / "models" / "mine").iterdir()}
    real, calls = os.replace, iter(range(9))

    def stop(*paths: Any) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt
        real(*paths)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        imported(checkpoint, "other")
    assert not (cache / "models" / "other").exists()
    assert {path: path.read_bytes() for path in (cache / "models" / "mine").iterdir()} == before
    assert catalog.installed() == {"mine": model}


def test_a_separator_trained_on_clip_listens_to_clip(checkpoint: Path, tmp_path: Path) -> None:
    torch.save(dict(full_network().state_dict()), tmp_path / "separator.pt")
    published, tokenizer = clip_checkpoint(tmp_path, 512)
    tensors = {**published.state_dict(), "visual_projection.weight": torch.ones(2, 2)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "clip.safetensors")
    words = ["import", str(tmp_path / "separator.pt"), "--as", "of-clip", "--tokenizer", str(tokenizer)]
    run(*words, "--text", str(tmp_path / "clip.safetensors"))
    assert "text encoder: clip" in run("show", "of-clip")
    separator = catalog.load("of-clip", runtime="eager")
    expected = CLIP(published.state_dict, tokenizer).encode(["drums"])
    assert (separator.embed(["drums"]) - expected).abs().max() <= SAME_VECTOR
    stream = SeparationStream(separator, "drums", 32000, 1, profile=SHORTEST)
    assert stream.process(np.zeros((1, 100), np.float32)).shape == (1, 1, 100)


def test_a_text_encoder_of_another_size_is_refused(tmp_path: Path) -> None:
    torch.save(dict(full_network().state_dict()), tmp_path / "separator.pt")
    published, tokenizer = clip_checkpoint(tmp_path, 24)
    torch.save(published.state_dict(), tmp_path / "clip.pt")
    with pytest.raises(ModelError, match="vectors of 24 numbers; the separator listens to 512"):
        catalog.import_file(tmp_path / "separator.pt", "mine", text=tmp_path / "clip.pt", tokenizer=tokenizer)


def test_a_model_imported_before_the_extra_gets_its_graph_when_asked(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "openvino", None)
        assert imported(checkpoint).graph == ""
    audio = mixture(0.1, 0).numpy()[None]
    stems = [
        SeparationStream(
            catalog.load("mine", runtime=runtime), "drums", 32000, 1, gate=False, profile=SHORTEST
        )
        for runtime in ("eager", "onnx")
    ]
    eager, onnx = (np.concatenate([stream.process(audio), stream.flush()], -1) for stream in stems)
    assert np.abs(onnx - eager).max() <= SAME_STEM * np.abs(eager).max()
    model = catalog.verify("mine")
    assert model.graph in model.files
    (model.folder / model.graph).write_bytes(b"damaged")
    with pytest.raises(ModelError, match=f"'{model.graph}' of the model 'mine' is damaged"):
        catalog.load("mine")


def test_a_model_runs_without_a_network_once_it_is_here(checkpoint: Path) -> None:
    imported(checkpoint)
    script = (
        "import socket\n"
        "def refuse(*args, **kwargs): raise AssertionError('reached for the network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import numpy as np\n"
        "from soundlasso import separate\n"
        "from soundlasso.models.engine import Profile\n"
        "audio = np.zeros((1, 100), np.float32)\n"
        "separate(audio, 32000, 'a bell', model='mine', profile=Profile(0.32, 0.0, 0.0))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_two_loads_at_once_export_one_graph(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "openvino", None)
        imported(checkpoint)
    exports: list[Path] = []
    meeting = threading.Barrier(2)

    def counted(network: Callable[[], Any], folder: Path) -> Path | None:
        exports.append(folder)
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(1.0)  # a second export, if there is one, comes here meanwhile
        return export_graph(network, folder)

    monkeypatch.setattr(catalog, "export_graph", counted)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: catalog.load("mine", runtime="onnx"), range(2)))
    assert len(both) == 2 and len(exports) == 1


def test_a_graph_that_cannot_be_written_is_done_without(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "openvino", None)
        model = imported(checkpoint)

    def read_only(_: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fsync", read_only)
    with pytest.raises(ModelError, match="Read-only file system; SOUNDLASSO_RUNTIME=eager does without"):
        catalog.load("mine")
    assert catalog.load("mine", runtime="eager").name == "mine"
    assert catalog.verify("mine") == model


def test_a_cache_that_cannot_be_written_is_named(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_bytes(b"a file where the folder should be")
    with pytest.raises(ModelError, match=r"cannot change the model 'mine' in '.*cache.models': (File|Not)"):
        imported(checkpoint)
    cache.unlink()
    model = imported(checkpoint)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match=r"cannot change the model 'mine' in .*: No space left on device"):
        imported(checkpoint)
    assert catalog.verify("mine") == model
    with pytest.raises(ModelError, match="cannot change the model 'other'"):
        imported(checkpoint, "other")
    assert not (cache / "models" / "other").exists()


@pytest.mark.parametrize("name", ["lariat", "", "../up", "With Space", "a" * 65, "mine.safetensors"])
def test_names_that_cannot_be(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be called"):
        catalog.import_file(tmp_path / "none.ckpt", name)


def test_a_model_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(UnknownModelError, match="get it with: soundlasso models get audiosep-hive"):
        catalog.load("audiosep-hive")
    with pytest.raises(UnknownModelError, match=r"no model 'x' in the cache \(there: none\)"):
        catalog.remove("x")


# The hub


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does for files kept by content."""

    files: ClassVar[dict[str, bytes]] = {}
    told = ""  # a hash instead of the right one
    half_sent: ClassVar[list[Callable[[], None]]] = []  # called in the middle of a file, one for each

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def _answer(self, send: bool) -> None:
        content = next(
            (c for path, c in self.files.items() if self.path.endswith(f"/resolve/main/{path}")), None
        )
        self.send_response(404 if content is None else 200)
        body = content or b""
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{self.told or hashlib.sha256(content or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if send:
            self._send(body)

    def _send(self, body: bytes) -> None:
        middle = len(body) // 2
        with contextlib.suppress(ConnectionError):  # a client that was stopped
            self.wfile.write(body[:middle])
            self.wfile.flush()
            if self.half_sent:
                self.half_sent.pop()()
            self.wfile.write(body[middle:])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Hub, "files", {FILE.path: CONTENT})
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_is_fetched_and_checked(hub: str, tmp_path: Path) -> None:
    path = fetch(FILE, tmp_path / "downloads", hub)
    assert path.read_bytes() == CONTENT


def test_a_file_that_comes_damaged_is_refused(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "told", "0" * 64)
    with pytest.raises(ModelError, match="came damaged"):
        fetch(FILE, tmp_path / "downloads", hub)
    assert not (tmp_path / "downloads" / FILE.path).exists()


def test_a_file_that_is_not_the_known_one_is_refused(hub: str, tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    for known in (digest, f"{digest[:8]}…{digest[-4:]}"):
        assert fetch(dataclasses.replace(FILE, sha256=known), tmp_path / "right", hub).exists()
    for known in ("0" * 64, f"00000000…{digest[-4:]}", f"{digest[:8]}…0000"):
        with pytest.raises(ModelError, match=f"another file than it was: its SHA-256 is .*, not {known}"):
            fetch(dataclasses.replace(FILE, sha256=known), tmp_path / "wrong", hub)


def serve_audiosep(monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> None:
    entry, content = catalog.entry("audiosep"), checkpoint.read_bytes()
    words = checkpoint.with_name("tokenizer.json").read_bytes()
    monkeypatch.setattr(Hub, "files", {entry.file.path: content, "tokenizer.json": words})
    file = dataclasses.replace(entry.file, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(catalog, "ENTRIES", (dataclasses.replace(entry, file=file),))


def test_every_checkpoint_is_known_by_its_whole_hash() -> None:
    known = [entry.file for entry in catalog.ENTRIES] + [catalog.TEXT_FILES["clap"].weights]
    assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in known)
    assert len({file.sha256 for file in known}) == len(known)


def test_a_checkpoint_that_changed_at_its_source_is_not_imported(
    hub: str, checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_audiosep(monkeypatch, checkpoint)
    path = catalog.entry("audiosep").file.path
    monkeypatch.setitem(Hub.files, path, Hub.files[path] + b"more")
    with pytest.raises(ModelError, match="another file than it was"):
        catalog.get("audiosep", hub)
    assert catalog.installed() == {}


def test_ctrl_c_leaves_nothing_and_the_next_try_succeeds(
    hub: str, checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_audiosep(monkeypatch, checkpoint)
    command = "from soundlasso.bridge.cli import main; main(['models', 'get', 'audiosep'])"
    environment = {**os.environ, "HF_ENDPOINT": hub, catalog.CACHE_VARIABLE: str(cache)}
    with subprocess.Popen(
        [sys.executable, "-c", command], env=environment, stderr=subprocess.PIPE
    ) as getting:
        monkeypatch.setattr(Hub, "half_sent", [lambda: getting.send_signal(signal.SIGINT)])
        getting.communicate(timeout=120)
    assert getting.returncode == 130
    assert catalog.installed() == {} and not (cache / "models" / "audiosep").exists()
    left = [path for path in (cache / "downloads").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) < 1000  # empty locks
    model = catalog.get("audiosep", hub)
    assert catalog.verify("audiosep") == model
    assert model.source_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert not list((cache / "downloads").iterdir())


def test_what_is_here_whole_is_not_fetched_again(
    hub: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_audiosep(monkeypatch, checkpoint)
    told: list[HubFile] = []
    model = catalog.get("audiosep", hub, told.append)
    assert told == [catalog.entry("audiosep").file, catalog.TEXT_FILES["clap"].tokenizer]
    assert catalog.get("audiosep", hub, told.append) == model and len(told) == 2
    (model.folder / model.text).write_bytes(b"damaged")
    assert catalog.get("audiosep", hub, told.append) == catalog.verify("audiosep") == model
    assert len(told) == 4


def test_a_small_file_is_checked_by_gits_hash(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = subprocess.run(
        ["git", "hash-object", "--stdin"], input=CONTENT, capture_output=True, check=True
    ).stdout.decode()
    monkeypatch.setattr(Hub, "told", written.strip())
    assert fetch(FILE, tmp_path / "right", hub).read_bytes() == CONTENT
    monkeypatch.setattr(Hub, "told", "0" * 40)
    with pytest.raises(ModelError, match="came damaged, for the hub says that its hash is 00000000"):
        fetch(FILE, tmp_path / "wrong", hub)
    assert not (tmp_path / "wrong" / FILE.path).exists()


def test_two_gets_at_once_do_not_meet(hub: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_audiosep(monkeypatch, checkpoint)
    refused: list[str] = []

    def another() -> None:
        with pytest.raises(
            ModelError, match="'audiosep' is being fetched, imported or removed elsewhere"
        ) as told:
            catalog.get("audiosep", hub)
        refused.append(str(told.value))

    monkeypatch.setattr(Hub, "half_sent", [another])
    catalog.get("audiosep", hub)
    assert refused and catalog.verify("audiosep").name == "audiosep"


def test_no_connection_tells_the_way_by_hand(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match="download it yourself, then: soundlasso models import FILE --as NAME"
    ):
        fetch(FILE, tmp_path / "downloads", "http://127.0.0.1:9")


def test_a_file_that_is_not_there_is_named(hub: str, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"cannot fetch https://huggingface.co/someone/something/blob/main/none\.pt"
    ):
        fetch(HubFile("someone/something", "none.pt", 1), tmp_path / "downloads", hub)


def test_no_room_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"GB free; 'net\.bin' needs"):
        fetch(HubFile("someone/something", "net.bin", 10**18), tmp_path / "downloads", "http://127.0.0.1:9")


def test_what_is_there_already_needs_no_room(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch(FILE, tmp_path / "downloads", hub)
    room = shutil.disk_usage(tmp_path)._replace(free=FILE.size_bytes)  # for what is made of it
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    assert fetch(FILE, tmp_path / "downloads", hub) == path
    with pytest.raises(ModelError, match="GB free"):
        fetch(FILE, tmp_path / "elsewhere", hub)


# The command


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_command_lists_shows_imports_verifies_and_removes(checkpoint: Path) -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    states = {"lariat": "ships", "audiosep": "to get", "audiosep-hive": "to get"}
    assert {name: row["state"] for name, row in rows.items()} == states
    assert (rows["audiosep"]["size"], rows["audiosep-hive"]["licence"]) == ("1.26 GB", "Apache-2.0")
    assert "Apache-2.0" in run("show", "audiosep-hive") and "1.26 GB" in run("show", "audiosep-hive")
    tokenizer = str(checkpoint.with_name("tokenizer.json"))
    assert "mine:" in run("import", str(checkpoint), "--as", "mine", "--tokenizer", tokenizer)
    assert "imported from audiosep.ckpt" in run("list")
    assert "published as: none that soundlasso knows" in run("show", "mine")
    assert f"SHA-256: {catalog.entry('audiosep').file.sha256}\n" in run("show", "audiosep")
    assert run("verify") == "lariat: whole\nmine: whole\n"
    run("remove", "mine")
    assert catalog.installed() == {}


def test_the_model_that_ships_is_shown_with_its_size_and_hash() -> None:
    weights = shipped_weights("lariat")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert f"size: {weights.stat().st_size / 1e6:.1f} MB\nSHA-256: {digest}\n" in run("show", "lariat")
    assert run("verify", "lariat") == "lariat: whole\n"


def test_one_damaged_model_does_not_hide_the_others(checkpoint: Path, cache: Path) -> None:
    whole = imported(checkpoint, "whole")
    for name, manifest in [("cut", b'{"name": "cut", "sou'), ("newer", b'{"name": "newer", "more": 1}')]:
        (cache / "models" / name).mkdir()
        (cache / "models" / name / catalog.MANIFEST).write_bytes(manifest)
    states = {row["name"]: row["state"] for row in json.loads(run("list", "--json"))}
    assert (states["whole"], states["cut"], states["newer"]) == ("here", "damaged", "damaged")
    assert catalog.load("whole", runtime="eager").weights_hash == whole.files[whole.separator][:8]
    with pytest.raises(
        ModelError, match=r"cut.model\.json' is damaged: .* import the model 'cut' again, or rem"
    ):
        load_model("cut")
    result = CliRunner().invoke(app, ["verify"])
    assert result.stdout == "lariat: whole\nwhole: whole\n"
    assert isinstance(result.exception, ModelError) and str(result.exception).count("is damaged") == 2
    assert imported(checkpoint, "cut") == catalog.verify("cut")
    run("remove", "newer")
    assert catalog.names() == ["cut", "whole"]


def test_a_model_goes_by_its_folders_name(checkpoint: Path, cache: Path) -> None:
    imported(checkpoint)
    (cache / "models" / "mine").rename(cache / "models" / "renamed")
    assert catalog.verify("renamed").folder == cache / "models" / "renamed"


def test_what_a_stopped_import_left_can_be_removed(cache: Path) -> None:
    for left in (cache / "models" / "mine", cache / "downloads" / "mine"):
        left.mkdir(parents=True)
        (left / "part").write_bytes(b"part")
    run("remove", "mine")
    assert not (cache / "models" / "mine").exists() and not (cache / "downloads" / "mine").exists()
    for name in ("mine", "..", "../models"):
        with pytest.raises(UnknownModelError, match="no model"):
            catalog.remove(name)
    assert (cache / "models").exists()


def test_import_says_what_it_fetches_before_it_does(
    hub: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = checkpoint.with_name("tokenizer.json").read_bytes()
    monkeypatch.setattr(Hub, "files", {"tokenizer.json": words})
    told: list[HubFile] = []
    catalog.import_file(checkpoint, "mine", endpoint=hub, tell=told.append)
    assert told == [catalog.TEXT_FILES["clap"].tokenizer]
    with pytest.raises(ModelError, match="cannot fetch"):
        catalog.import_file(checkpoint, "mine", text="clap", endpoint=hub, tell=told.append)
    assert told[1:] == [catalog.TEXT_FILES["clap"].weights]


def test_get_says_what_from_where_and_under_which_licence_before_it_starts(cache: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", catalog.CACHE_VARIABLE: str(cache)}
    command = "from soundlasso.bridge.commands.models import app; app(['get', 'audiosep-hive'])"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, env=environment, timeout=120
    )
    told, _, after = done.stderr.partition("licence: Apache-2.0\n")
    assert "1.26 GB from https://huggingface.co/AlayaLab/AudioSep-hive" in told
    assert "cannot fetch" in after and "soundlasso models import FILE --as NAME" in after
