"""`soundlasso models`: what there is to choose from, and the weights in the user's cache."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from soundlasso.dsp.errors import ModelError
from soundlasso.models import catalog
from soundlasso.models.cache import sha256
from soundlasso.models.checkpoint import read_checked
from soundlasso.models.hub import HubFile
from soundlasso.models.separator import shipped_weights
from soundlasso.models.text import KNOWN_QUERIES

app = typer.Typer(help="List, get, import and check models.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="A model's name.", show_default=False)]
_LARIAT = ("lariat", "music, speech and everyday sounds, live and offline; ships with soundlasso", "MIT")


@app.command("list")
def list_models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the models: what they are good for, and which of them are here."""
    rows = _rows()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['name']:<16} {row['state']:<10} {row['size']:>8}  {row['good_for']}")


@app.command()
def show(
    name: Name,
    sounds: Annotated[
        bool,
        typer.Option(
            "--sounds", help="Print what lariat learned, in several wordings, and a few sounds more."
        ),
    ] = False,
) -> None:
    """Show where a model comes from, its licence, its size and its hash.

    AudioSep's networks run in torch ("eager"), or, where the extra soundlasso[onnx] is installed, faster in
    OpenVINO ("onnx"); the variable SOUNDLASSO_RUNTIME chooses: auto, eager or onnx.
    """
    if sounds:
        typer.echo("\n".join(_sounds(name)))
        return
    if name in catalog.names():
        here = catalog.read(name)
        told = {"source": here.source, "licence": here.licence, "SHA-256 of the source": here.source_sha256}
        told |= {"published as": _published(here.source_sha256), "text encoder": here.encoder}
        told |= {"runtimes": "eager, onnx" if here.graph else "eager"}
        told |= {f"file {file}": digest for file, digest in here.files.items()}
        told |= {"size": _size(_bytes(here)), "folder": str(here.folder)}
    elif name == _LARIAT[0]:
        weights = shipped_weights(name)
        told = {"good for": _LARIAT[1], "licence": _LARIAT[2], "source": "ships with soundlasso"}
        told |= {"size": _size(weights.stat().st_size), "SHA-256": sha256(weights)}
        told |= {"sounds": f"soundlasso models show {name} --sounds"}
    else:
        wanted = catalog.entry(name)
        told = {"good for": wanted.good_for, "licence": wanted.file.licence, "source": wanted.file.address}
        told |= {"size": _size(wanted.file.size_bytes), "SHA-256": wanted.file.sha256}
        told |= {"here": f"no; soundlasso models get {name}"}
    for key, value in told.items():
        typer.echo(f"{key}: {value}")


@app.command()
def get(name: Name) -> None:
    """Download a model and import it."""
    _check_not_shipped(name, "it need not be fetched")
    _report(catalog.get(name, tell=_announce))


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A checkpoint: .ckpt, .pt, .bin or .safetensors.")],
    name: Annotated[str, typer.Option("--as", help="What to call the model.", show_default=False)],
    text: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|clap|clip",
            help="CLAP's or CLIP's weights, if FILE has no text encoder; the word alone fetches them.",
            show_default=False,
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="The text encoder's tokenizer.json; fetched if not given.", show_default=False),
    ] = None,
) -> None:
    """Make a model of a checkpoint file, once; the file is not needed afterwards."""
    _report(catalog.import_file(file, name, text=text, tokenizer=tokenizer, tell=_announce))


@app.command()
def remove(name: Name) -> None:
    """Delete a model from the cache."""
    _check_not_shipped(name, "it cannot be removed")
    catalog.remove(name)
    typer.echo(f"removed {name}")


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="A model's name; all if not given.")] = None,
) -> None:
    """Read all files of a model, or of all, and compare them with their hashes."""
    faults = []
    for model in [name] if name is not None else [_LARIAT[0], *catalog.names()]:
        try:
            _verify(model)
        except ModelError as error:
            faults.append(str(error))
        else:
            typer.echo(f"{model}: whole")
    if faults:
        raise ModelError("\n".join(faults))


def _verify(name: str) -> None:
    if name == _LARIAT[0]:
        read_checked(shipped_weights(name))
    else:
        catalog.verify(name)


def _check_not_shipped(name: str, why: str) -> None:
    if name == _LARIAT[0]:
        raise ModelError(f"{name!r} ships with soundlasso: {why}")


def _sounds(name: str) -> list[str]:
    """Return the texts whose vectors ship: other words for what lariat learned are among them."""
    if name != _LARIAT[0]:
        raise ModelError(f"no list of sounds for {name!r}; only {_LARIAT[0]} has one")
    sounds: list[str] = json.loads(KNOWN_QUERIES.with_suffix(".json").read_bytes())
    return sounds


def _rows() -> list[dict[str, str]]:
    name, good_for, licence = _LARIAT
    here = catalog.installed()
    states = {name: "ships"} | {model: "here" if model in here else "damaged" for model in catalog.names()}
    told = {name: (good_for, licence, shipped_weights(name).stat().st_size)}
    told |= {e.name: (e.good_for, e.file.licence, e.file.size_bytes) for e in catalog.ENTRIES}
    for model in sorted(states.keys() - told.keys()):
        told[model] = ("", "", 0)
        if model in here:
            told[model] = f"imported from {here[model].source}", here[model].licence, _bytes(here[model])
    return [
        {"name": name, "state": states.get(name, "to get"), "size": _size(size),
         "good_for": good_for, "licence": licence}
        for name, (good_for, licence, size) in told.items()
    ]  # fmt: skip


def _published(sha256: str) -> str:
    """Say which of the catalogue's checkpoints a file is."""
    names = [entry.name for entry in catalog.ENTRIES if entry.file.sha256 == sha256]
    return names[0] if names else "none that soundlasso knows"


def _announce(file: HubFile) -> None:
    typer.echo(f"{_size(file.size_bytes)} from {file.address}\nlicence: {file.licence}", err=True)


def _report(model: catalog.Installed) -> None:
    free = _size(shutil.disk_usage(model.folder).free)
    typer.echo(f"{model.name}: {_size(_bytes(model))} in {model.folder}, {free} free")


def _bytes(model: catalog.Installed) -> int:
    files = [model.folder / file for file in model.files]
    return sum(file.stat().st_size for file in files if file.exists())


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
