"""The models by name: what they are good for, where their weights come from, and those in the user's cache.

A model that was fetched or imported is a folder of the cache with its weights and a ``model.json``, which is
written last: without it the folder is not a model, so an import that stops half-way leaves none.
"""

import dataclasses
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import platformdirs
import torch

from soundlasso.dsp.errors import ModelError, UnknownModelError
from soundlasso.models.audiosep import build, read_separator, read_text_tower
from soundlasso.models.checkpoint import fill, load_safetensors, save_safetensors, write_whole
from soundlasso.models.clap import CLAP
from soundlasso.models.hub import HubFile, fetch
from soundlasso.models.resunet import ResUNet30
from soundlasso.models.separator import Separator

CACHE_VARIABLE = "SOUNDLASSO_CACHE"
MANIFEST = "model.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHIPPED = "lariat"
_TOKENIZER = HubFile("FacebookAI/roberta-base", "tokenizer.json", 1_355_863)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A model that can be fetched."""

    name: str
    good_for: str
    licence: str
    file: HubFile


@dataclasses.dataclass(frozen=True)
class Installed:
    """A model in the cache, as its ``model.json`` tells it.

    `files` gives each file's SHA-256; `separator` and `text` are two of them.
    """

    name: str
    source: str
    licence: str
    source_sha256: str
    separator: str
    text: str
    tokenizer: str
    files: dict[str, str]


ENTRIES = (
    Entry(
        "audiosep",
        "everyday sounds, speech and solo instruments by any wording; weak on the parts of a band",
        "code MIT; the weights name no licence of their own",
        HubFile("Audio-AGI/AudioSep", "checkpoint/audiosep_base_4M_steps.ckpt", 1_265_000_000, "space"),
    ),
    Entry(
        "audiosep-hive",
        "the same network trained on more and cleaner mixtures: better where several sounds overlap",
        "Apache-2.0",
        HubFile("AlayaLab/AudioSep-hive", "audiosep_hive.ckpt", 1_264_846_755),
    ),
)


def cache_folder() -> Path:
    """Return the folder of all imported models; the variable SOUNDLASSO_CACHE moves it."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return (Path(chosen) if chosen else platformdirs.user_cache_path("soundlasso")) / "models"


def installed() -> dict[str, Installed]:
    """Return the models in the cache by name."""
    return {path.parent.name: _read_manifest(path) for path in sorted(cache_folder().glob(f"*/{MANIFEST}"))}


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


def get(name: str, endpoint: str | None = None) -> Installed:
    """Fetch a model of the catalogue and import it; what was fetched before a failure is used next time.

    Raises
    ------
    ModelError
        If it cannot be fetched, with the way to do it by hand, or is not what it should be.
    """
    wanted = entry(name)
    downloads = cache_folder().parent / "downloads"
    checkpoint = fetch(wanted.file, downloads, endpoint)
    model = import_file(
        checkpoint, name, source=wanted.file.address, licence=wanted.licence, endpoint=endpoint
    )
    shutil.rmtree(downloads)
    return model


def import_file(
    checkpoint: Path,
    name: str,
    *,
    text: Path | None = None,
    tokenizer: Path | None = None,
    source: str | None = None,
    licence: str = "as its source says",
    endpoint: str | None = None,
) -> Installed:
    """Convert a checkpoint once to safetensors in the cache, all or nothing.

    Parameters
    ----------
    checkpoint
        AudioSep's ``.ckpt``, or its separator as ``.pt``, ``.bin`` or ``.safetensors``.
    text
        A CLAP checkpoint, if `checkpoint` has no text tower.
    tokenizer
        RoBERTa's ``tokenizer.json``; None fetches it.

    Raises
    ------
    ModelError
        If the name cannot be used, or a file is damaged or made for another network.
    """
    _check_name(name)
    separator, tower = read_separator(checkpoint), read_text_tower(text or checkpoint)
    tokenizer = tokenizer or fetch(_TOKENIZER, cache_folder().parent / "downloads", endpoint)
    CLAP(tower, tokenizer)  # strict: what cannot be loaded is not imported
    folder = cache_folder() / name
    kept = _Kept(
        separator=save_safetensors(separator, folder, "separator"),
        text=save_safetensors(tower, folder, "text"),
        tokenizer=_keep_tokenizer(tokenizer, folder),
    )
    model = Installed(
        name=name,
        source=source or checkpoint.name,
        licence=licence,
        source_sha256=_sha256(checkpoint),
        separator=kept.separator.name,
        text=kept.text.name,
        tokenizer=kept.tokenizer.name,
        files={path.name: _sha256(path) for path in kept},
    )
    _settle(model, folder)
    return model


class _Kept(NamedTuple):
    """An import's files in the cache."""

    separator: Path
    text: Path
    tokenizer: Path


def _keep_tokenizer(tokenizer: Path, folder: Path) -> Path:
    """Copy a tokenizer beside the weights under a name with its hash, as theirs have."""
    words = _read(tokenizer)
    path = folder / f"tokenizer-{hashlib.sha256(words).hexdigest()[:8]}.json"
    write_whole(path, words)
    return path


def _settle(model: Installed, folder: Path) -> None:
    """Write the manifest, which makes the folder a model; then drop the files of an earlier import."""
    write_whole(folder / MANIFEST, json.dumps(dataclasses.asdict(model), indent=2).encode())
    for path in folder.iterdir():
        if path.name not in {*model.files, MANIFEST}:
            path.unlink()


def remove(name: str) -> None:
    """Take a model out of the cache.

    Raises
    ------
    UnknownModelError
        If it is not there.
    """
    folder = cache_folder() / _find(name).name
    (folder / MANIFEST).unlink()  # first, so that half a model is none
    shutil.rmtree(folder)


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
        found = _sha256(cache_folder() / name / file)
        if found != expected:
            raise ModelError(
                f"{file!r} of the model {name!r} is damaged: its SHA-256 is {found[:8]}, not {expected[:8]}; "
                f"get or import it again"
            )
    return model


def load(name: str, device: str = "cpu") -> Separator:
    """Return a model of the cache, ready to separate; weights are checked against their hashes.

    Raises
    ------
    UnknownModelError
        If it is not there.
    ModelError
        If a file is missing or damaged.
    """
    model = _find(name)
    folder = cache_folder() / name
    tokenizer = folder / model.tokenizer
    if _sha256(tokenizer) != model.files[model.tokenizer]:
        raise ModelError(f"{str(tokenizer)!r} is damaged; get or import {name!r} again")
    with torch.device("meta"):
        network = ResUNet30()
    network = fill(network, load_safetensors(folder / model.separator), model.separator)
    text = CLAP(load_safetensors(folder / model.text), tokenizer)
    return build(name, model.files[model.separator][:8], network, text, device)


def _find(name: str) -> Installed:
    models = installed()
    if name in models:
        return models[name]
    have = ", ".join(models) or "none"
    how = f"; get it with: soundlasso models get {name}" if name in {e.name for e in ENTRIES} else ""
    raise UnknownModelError(f"no model {name!r} in the cache (there: {have}){how}")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name == _SHIPPED:
        raise ModelError(
            f"a model cannot be called {name!r}; "
            f"use lower-case letters, digits, '.', '_' and '-', and not {_SHIPPED!r}"
        )


def _read_manifest(path: Path) -> Installed:
    try:
        return Installed(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{str(path)!r} is damaged: {error}; remove {str(path.parent)!r}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read {str(path)!r}: {error.strerror}") from error
