"""The models by name: what they are good for, where their weights come from, how they get into the cache."""

import dataclasses
import hashlib
import re
import shutil
from pathlib import Path

import torch

from soundlasso.dsp.errors import ModelError, UnknownModelError
from soundlasso.models.atomic import write_whole
from soundlasso.models.audiosep import build, read_separator, read_text_tower
from soundlasso.models.cache import (
    CACHE_VARIABLE,
    MANIFEST,
    Installed,
    cache_folder,
    changing,
    forget,
    installed,
    names,
    read,
    settle,
    sha256,
)
from soundlasso.models.checkpoint import fill, load_safetensors, read_file, save_safetensors
from soundlasso.models.clap import TOWERS
from soundlasso.models.hub import HubFile, Tell, fetch
from soundlasso.models.resunet import CONDITION_SIZE, ResUNet30
from soundlasso.models.resunet_folded import FoldedUNet, WindowNetwork
from soundlasso.models.runtime import RUNTIME_VARIABLE, Runtime, choose, export_graph, is_current, to_network
from soundlasso.models.separator import Separator

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHIPPED = "lariat"
_AT_ONCE_ON_ACCELERATORS = 4, 4
_GRAPH_PATIENCE_S = 120.0  # while another process exports the same graph
_BASE = "f8cda01bfd0ebd141eef45d41db7a3ada23a56568465840d3cff04b8010ce82c"
_HIVE = "a13fff5fa4ece1a8bc13e42e1c7b8d90e21603075302ca89e4339c9471973300"
_CLAP = "51c68f12f9d7ea25fdaaccf741ec7f81e93ee594455410f3bca4f47f88d8e006"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A model that can be fetched."""

    name: str
    good_for: str
    file: HubFile


@dataclasses.dataclass(frozen=True)
class TextFiles:
    """Where a text encoder's published weights and tokenizer are, for separators that come without."""

    weights: HubFile
    tokenizer: HubFile


ENTRIES = (
    Entry(
        "audiosep",
        "everyday sounds, speech and solo instruments by any wording; weak on the parts of a band",
        HubFile(
            "Audio-AGI/AudioSep", "checkpoint/audiosep_base_4M_steps.ckpt", 1_264_844_076, "space", _BASE,
            "MIT, as the Space that they lie in says",
        ),
    ),
    Entry(
        "audiosep-hive",
        "the same network trained on more and cleaner mixtures: better where several sounds overlap",
        HubFile(
            "AlayaLab/AudioSep-hive", "audiosep_hive.ckpt", 1_264_846_755, sha256=_HIVE, licence="Apache-2.0"
        ),
    ),
)  # fmt: skip


TEXT_FILES = {
    "clap": TextFiles(
        HubFile(
            "lukewys/laion_clap", "music_speech_audioset_epoch_15_esc_89.98.pt", 2_352_471_003, sha256=_CLAP,
            licence="CC0-1.0",
        ),
        HubFile("FacebookAI/roberta-base", "tokenizer.json", 1_355_863, licence="MIT"),
    ),
    "clip": TextFiles(
        HubFile("openai/clip-vit-base-patch32", "model.safetensors", 605_000_000),
        HubFile("openai/clip-vit-base-patch32", "tokenizer.json", 2_200_000),
    ),
}  # fmt: skip


def entry(name: str) -> Entry:
    """Return the catalogue's entry of that name.

    Raises
    ------
    UnknownModelError
        If there is none.
    """
    for candidate in ENTRIES:
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in ENTRIES)
    raise UnknownModelError(f"no model {name!r} to get; choose one of {names}, or import a file")


def get(name: str, endpoint: str | None = None, tell: Tell | None = None) -> Installed:
    """Fetch a model of the catalogue and import it, unless it is here whole.

    What was fetched before a failure is used next time.  `tell` is called with each file before it is
    fetched.

    Raises
    ------
    ModelError
        If it cannot be fetched, with the way to do it by hand, or is not what it should be; or if another
        process is at it.
    """
    wanted = entry(name)
    with changing(name):
        if (here := _whole(wanted)) is not None:
            return here
        checkpoint = fetch(wanted.file, _downloads(name), endpoint, tell)
        return _import(
            checkpoint, name, endpoint=endpoint, tell=tell,
            source=wanted.file.address, licence=wanted.file.licence,
        )  # fmt: skip


def _whole(wanted: Entry) -> Installed | None:
    """Return the model if it is here, whole and made of the file that would be fetched."""
    try:
        here = verify(wanted.name)
    except ModelError:
        return None
    return here if here.source_sha256 == wanted.file.sha256 else None


def import_file(
    checkpoint: Path,
    name: str,
    *,
    text: Path | str | None = None,
    tokenizer: Path | None = None,
    source: str | None = None,
    licence: str = "as its source says",
    endpoint: str | None = None,
    tell: Tell | None = None,
) -> Installed:
    """Convert a checkpoint once to safetensors in the cache, all or nothing.

    Parameters
    ----------
    checkpoint
        AudioSep's ``.ckpt``, or its separator as ``.pt``, ``.bin`` or ``.safetensors``.
    text
        The text encoder that the separator was trained with, if `checkpoint` does not hold it: a file of
        CLAP's or CLIP's weights, or ``"clap"`` or ``"clip"``, which fetches the published ones.
    tokenizer
        Its ``tokenizer.json``; None fetches RoBERTa's for CLAP, CLIP's for CLIP.
    tell
        Called with each file before it is fetched.

    Raises
    ------
    ModelError
        If the name cannot be used, a file is damaged or made for another network, or another process is
        changing the model.
    """
    _check_name(name)
    with changing(name):
        return _import(
            checkpoint, name, text=text, tokenizer=tokenizer, endpoint=endpoint, tell=tell,
            source=source or checkpoint.name, licence=licence,
        )  # fmt: skip


def _import(
    checkpoint: Path,
    name: str,
    *,
    endpoint: str | None,
    tell: Tell | None,
    text: Path | str | None = None,
    tokenizer: Path | None = None,
    **told: str,
) -> Installed:
    downloads, folder = _downloads(name), cache_folder() / name
    tensors = read_separator(checkpoint)
    if isinstance(text, str) and text in TEXT_FILES:
        text = fetch(TEXT_FILES[text].weights, downloads, endpoint, tell)
    encoder, tower = read_text_tower(Path(text or checkpoint))
    tokenizer = tokenizer or fetch(TEXT_FILES[encoder].tokenizer, downloads, endpoint, tell)
    _check_size(
        TOWERS[encoder](lambda: tower, tokenizer).size
    )  # strict: what cannot be loaded is not imported
    kept = {
        "separator": save_safetensors(tensors, folder, "separator"),
        "text": save_safetensors(tower, folder, "text"),
        "tokenizer": _keep_tokenizer(tokenizer, folder),
    }
    if (graph := export_graph(lambda: _folded(kept["separator"]), folder)) is not None:
        kept["graph"] = graph
    model = Installed(
        name=name,
        source_sha256=sha256(checkpoint),
        files={path.name: sha256(path) for path in kept.values()},
        encoder=encoder,
        **{role: path.name for role, path in kept.items()},
        **told,
    )
    settle(model)
    shutil.rmtree(downloads, ignore_errors=True)
    return model


def _downloads(name: str) -> Path:
    """Return where a model's files lie while they come: what is there already is not fetched again."""
    return cache_folder().parent / "downloads" / name


def _keep_tokenizer(tokenizer: Path, folder: Path) -> Path:
    """Copy a tokenizer beside the weights under a name with its hash, as theirs have."""
    words = read_file(tokenizer)
    path = folder / f"tokenizer-{hashlib.sha256(words).hexdigest()[:8]}.json"
    write_whole(path, words)
    return path


def _check_size(size: int) -> None:
    if size != CONDITION_SIZE:
        raise ModelError(
            f"the text encoder gives vectors of {size} numbers; the separator listens to {CONDITION_SIZE}"
        )


def remove(name: str) -> None:
    """Take a model out of the cache, or what is left of one whose download or import was stopped.

    Raises
    ------
    UnknownModelError
        If there is nothing of it.
    """
    downloads = _downloads(name)
    if not _NAME.fullmatch(name) or not (downloads.exists() or (cache_folder() / name).exists()):
        raise _unknown(name)
    forget(name)
    shutil.rmtree(downloads, ignore_errors=True)


def verify(name: str) -> Installed:
    """Return a model of the cache after reading all its files.

    Raises
    ------
    UnknownModelError
        If it is not there.
    ModelError
        If a file is missing or damaged; the text names it.
    """
    model = _find(name)
    for file, expected in model.files.items():
        found = sha256(model.folder / file)
        if found != expected:
            raise ModelError(
                f"{file!r} of the model {name!r} is damaged: its SHA-256 is {found[:8]}, not {expected[:8]}; "
                f"get or import it again"
            )
    return model


def load(name: str, device: str = "cpu", runtime: Runtime = "auto") -> Separator:
    """Return a model of the cache, ready to separate, after comparing all its files with their hashes.

    Raises
    ------
    UnknownModelError
        If it is not there.
    ModelError
        If a file is missing or damaged, or `runtime` is not installed or not for `device`.
    """
    chosen = choose(runtime, device)
    model = verify(name)
    text = TOWERS[model.encoder](
        lambda: load_safetensors(model.folder / model.text), model.folder / model.tokenizer
    )
    network = _network(model, chosen, device)
    return build(name, model.files[model.separator][:8], network, text)


def _network(model: Installed, runtime: Runtime, device: str) -> WindowNetwork:
    folded = _folded(model.folder / model.separator)
    if runtime == "eager":
        if device != "cpu":
            folded.queries_at_once, folded.windows_at_once = _AT_ONCE_ON_ACCELERATORS
        return folded.to(device)
    if not is_current(model.graph):  # imported before the runtime was installed
        try:
            model = _with_graph(model.name, folded)
        except ModelError as error:
            raise ModelError(f"{error}; {RUNTIME_VARIABLE}=eager does without") from error
    return to_network(folded, model.folder / model.graph)


def _with_graph(name: str, folded: FoldedUNet) -> Installed:
    """Export a model's graph, unless another process has done it meanwhile."""
    with changing(name, _GRAPH_PATIENCE_S) as folder:
        model = _find(name)
        if not is_current(model.graph):
            graph = export_graph(lambda: folded, folder)
            assert graph is not None
            files = {file: digest for file, digest in model.files.items() if file != model.graph}
            files[graph.name] = sha256(graph)
            model = dataclasses.replace(model, graph=graph.name, files=files)
            settle(model)
    return model


def _folded(separator: Path) -> FoldedUNet:
    with torch.device("meta"):
        network = ResUNet30()
    return FoldedUNet(fill(network, load_safetensors(separator), separator.name))


def _find(name: str) -> Installed:
    if name not in names():
        raise _unknown(name)
    return read(name)


def _unknown(name: str) -> UnknownModelError:
    have = ", ".join(names()) or "none"
    how = f"; get it with: soundlasso models get {name}" if name in {e.name for e in ENTRIES} else ""
    return UnknownModelError(f"no model {name!r} in the cache (there: {have}){how}")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name == _SHIPPED or name.endswith(".safetensors"):
        raise ModelError(
            f"a model cannot be called {name!r}; use lower-case letters, digits, '.', '_' and '-', "
            f"and not {_SHIPPED!r} or what ends in '.safetensors', which is a file"
        )


__all__ = [
    "CACHE_VARIABLE",
    "ENTRIES",
    "MANIFEST",
    "Installed",
    "cache_folder",
    "entry",
    "get",
    "import_file",
    "installed",
    "load",
    "names",
    "read",
    "remove",
    "verify",
]
