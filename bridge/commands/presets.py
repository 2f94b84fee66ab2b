"""`soundlasso presets`: what there is, what is in it, whether it is right, and how to make one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from soundlasso.bridge.presets import library
from soundlasso.bridge.presets.preset import Preset, Strip
from soundlasso.dsp.errors import ModelError, PresetError, SoundlassoError, UnknownPresetError

app = typer.Typer(help="List, show, check and make presets.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[
    str, typer.Argument(metavar="NAME|FILE", help="A preset's name or file.", show_default=False)
]
_OWN = "yours"
_SHIPPED = "ships"
_TEMPLATE = "one-sound"


@app.command("list")
def list_presets(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the presets; one of yours hides a shipped one of its name."""
    rows = [_row(name, found) for name, found in library.find_presets().items()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row['name']:<24} {row['from']:<8} {row['summary']}")


def _row(name: str, found: library.Found) -> dict[str, str]:
    try:
        summary = library.load_preset(found.path).summary
    except PresetError as error:
        summary = f"cannot be read: {str(error).splitlines()[0]}"
    return {
        "name": name,
        "from": _OWN if found.is_own else _SHIPPED,
        "summary": summary,
        "path": str(found.path),
    }


@app.command()
def show(name: Name, toml: Annotated[bool, typer.Option("--toml", help="Print the file.")] = False) -> None:
    """Say what a preset is for, what it does, and which files come of it."""
    path = library.find_preset(name)
    preset = library.load_preset(path)
    typer.echo(path.read_text(encoding="utf-8") if toml else "\n".join(_describe(preset)))


def _describe(preset: Preset) -> Iterator[str]:
    yield f"{preset.name}: {preset.description.strip()}"
    yield ""
    for stem in preset.stems:
        yield f"{stem.name}: {' + '.join(map(repr, stem.queries))}{_describe_strip(stem)}"
    yield f"rest: all else{_describe_strip(preset.rest)}"
    if preset.mix.write:
        chain = "".join(f", {link.name}" for link in preset.mix.chain)
        yield f"mix: the sum{chain}"
    output = preset.output
    rate = f"{output.sample_rate} Hz" if output.sample_rate else "the input's rate"
    yield f"files: {output.format} {output.subtype or ''} at {rate}, named {output.name!r}".replace("  ", " ")
    if output.loudness_lufs is not None:
        yield f"loudness: {output.loudness_lufs:g} LUFS, at most {output.true_peak_db:g} dBTP"
    yield f"model: {preset.model}"


def _describe_strip(strip: Strip) -> str:
    parts = [link.name for link in strip.chain]
    parts += [f"{strip.gain_db:+g} dB"] if strip.gain_db else []
    parts += [f"pan {strip.pan:+g}"] if strip.pan else []
    parts += [f"{strip.duck_db:g} dB in the mix"] if strip.duck_db is not None else []
    parts += ["removed"] if strip.remove else [] if strip.write else ["no file of its own"]
    return "".join(f", {part}" for part in parts)


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME|FILE]...", help="All, if none is named.")
    ] = None,
) -> None:
    """Check presets: every key and value, that the model is known, and that plugins load."""
    failed = False
    for name in names or list(library.find_presets()):
        try:
            _check(library.load_preset(name))
        except UnknownPresetError as error:
            raise typer.BadParameter(str(error)) from error
        except SoundlassoError as error:
            failed = True
            typer.echo(f"soundlasso: {error}", err=True)
        else:
            typer.echo(f"{name}: right")
    if failed:
        raise typer.Exit(1)


def _check(preset: Preset) -> None:
    from soundlasso.models.catalog import ENTRIES, installed
    from soundlasso.models.separator import DEFAULT_MODEL

    preset.board()
    known = {DEFAULT_MODEL, *(entry.name for entry in ENTRIES), *installed()}
    if preset.model not in known and not Path(preset.model).is_file():
        raise ModelError(f"preset {preset.name!r}: no model {preset.model!r}; there are {', '.join(known)}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What to call it.", show_default=False)],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="The preset or file to start from; the shipped one called NAME, if any, else one-sound.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Copy a preset to your own folder, to change it there; print the path."""
    known = library.find_presets()
    ships = name in known and not known[name].is_own
    source = source or (name if ships else _TEMPLATE)
    text = library.find_preset(source).read_text(encoding="utf-8")
    library.load_preset(source)  # a broken one is no start
    named = re.sub(r"\A((?:#.*\n|\s*\n)*)name = .*\n", r"\1", text)  # it is called as its file
    typer.echo(str(library.save_text(name, named)))
    if ships:
        typer.echo(f"soundlasso: your preset {name!r} hides the one that ships", err=True)


@app.command("edit-path")
def edit_path(
    name: Annotated[str | None, typer.Argument(help="A preset; your folder, if none is named.")] = None,
) -> None:
    """Print the path of a preset's file, or of the folder of your own."""
    typer.echo(str(library.user_folder() if name is None else library.find_preset(name)))


@app.command()
def schema() -> None:
    """Print the JSON Schema of preset files, for editors that complete and check."""
    from soundlasso.bridge.presets.schema import preset_schema

    typer.echo(json.dumps(preset_schema(), indent=2))
