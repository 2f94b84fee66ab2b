"""`soundlasso models`: what there is to choose from, and the weights in the user's cache."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from soundlasso.models import catalog

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
        typer.echo(f"{row['name']:<16} {row['state']:<10} {row['good_for']}")


@app.command()
def show(name: Name) -> None:
    """Show where a model comes from, its licence, its size and its hash.

    AudioSep's networks run in torch ("eager"), or, where the extra soundlasso[onnx] is installed, faster in
    OpenVINO ("onnx"); the variable SOUNDLASSO_RUNTIME chooses: auto, eager or onnx.
    """
    here = catalog.installed().get(name)
    if here is not None:
        told = {"source": here.source, "licence": here.licence, "SHA-256 of the source": here.source_sha256}
        told |= {"published as": _published(here.source_sha256), "text encoder": here.encoder}
        told |= {"runtimes": "eager, onnx" if here.graph else "eager"}
        told |= {f"file {file}": digest for file, digest in here.files.items()}
        told["folder"] = str(catalog.cache_folder() / name)
    elif name == _LARIAT[0]:
        told = {"good for": _LARIAT[1], "licence": _LARIAT[2], "source": "ships with soundlasso"}
    else:
        wanted = catalog.entry(name)
        told = {"good for": wanted.good_for, "licence": wanted.licence, "source": wanted.file.address}
        told |= {"size": _size(wanted.file.size_bytes), "SHA-256": wanted.file.sha256}
        told |= {"here": f"no; soundlasso models get {name}"}
    for key, value in told.items():
        typer.echo(f"{key}: {value}")


@app.command()
def get(name: Name) -> None:
    """Download a model and import it."""
    wanted = catalog.entry(name)
    size = _size(wanted.file.size_bytes)
    typer.echo(f"{name}: {size} from {wanted.file.address}\nlicence: {wanted.licence}", err=True)
    _tell(catalog.get(name))


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
    _tell(catalog.import_file(file, name, text=text, tokenizer=tokenizer))


@app.command()
def remove(name: Name) -> None:
    """Delete a model from the cache."""
    catalog.remove(name)
    typer.echo(f"removed {name}")


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="A model's name; all if not given.")] = None,
) -> None:
    """Read all files of a model, or of all, and compare them with their hashes."""
    for model in [name] if name is not None else list(catalog.installed()):
        catalog.verify(model)
        typer.echo(f"{model}: whole")


def _rows() -> list[dict[str, str]]:
    here = catalog.installed()
    known = [_LARIAT, *((entry.name, entry.good_for, entry.licence) for entry in catalog.ENTRIES)]
    names = {name for name, _, _ in known}
    known += [(name, f"imported from {m.source}", m.licence) for name, m in here.items() if name not in names]
    states = {_LARIAT[0]: "ships", **dict.fromkeys(here, "here")}
    return [
        {"name": name, "state": states.get(name, "to get"), "good_for": good_for, "licence": licence}
        for name, good_for, licence in known
    ]


def _published(sha256: str) -> str:
    """Say which of the catalogue's checkpoints a file is."""
    names = [entry.name for entry in catalog.ENTRIES if entry.file.sha256 == sha256]
    return names[0] if names else "none that soundlasso knows"


def _tell(model: catalog.Installed) -> None:
    folder = catalog.cache_folder() / model.name
    size = sum((folder / file).stat().st_size for file in model.files)
    typer.echo(f"{model.name}: {_size(size)} in {folder}, {_size(shutil.disk_usage(folder).free)} free")


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
