"""`soundlasso render`: name sounds, or a preset, and get files."""

import contextlib
import dataclasses
import os
import signal
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from soundlasso.bridge.audiofile_format import FORMATS, SUBTYPES
from soundlasso.bridge.batch_report import BatchReport
from soundlasso.bridge.commands.render_run import FAILURE, USAGE, Batch, Manner, complain
from soundlasso.bridge.commands.seconds import read_seconds
from soundlasso.bridge.commands.shared_options import Avoid, Gate, GateThreshold
from soundlasso.bridge.events import EventLog
from soundlasso.bridge.export.session import SESSION_KINDS, SessionKind, to_session_kinds
from soundlasso.bridge.naming import DEFAULT_TEMPLATE, FIELDS
from soundlasso.bridge.render_inputs import Input, find_inputs, read_list
from soundlasso.bridge.render_plan import Existing, RenderSettings
from soundlasso.dsp.errors import SoundlassoError
from soundlasso.dsp.gate import USUAL_THRESHOLD

_TERMINATED = 128 + signal.SIGTERM
# Options that a preset decides, and how to change them there.
_OF_PRESET = {
    "model": "model",
    "rest": "rest.write",
    "remove": "stem.NAME.remove",
    "format": "output.format",
    "subtype": "output.subtype",
    "name": "output.name",
    "stereo": "stereo",
    "consistent": "consistent",
    "avoid": "stem.NAME.avoid",
    "gate": "gate",
    "gate_threshold": "stem.NAME.gate_threshold",
}
_REFUSED = ", ".join(f"--{option.replace('_', '-')}" for option in _OF_PRESET)


class Stereo(StrEnum):
    """How channels are treated."""

    linked = "linked"
    independent = "independent"


def render(
    context: typer.Context,
    mixes: Annotated[
        list[str] | None,
        typer.Argument(metavar="MIX...", help="Files, folders or patterns.", show_default=False),
    ] = None,
    queries: Annotated[
        list[str] | None,
        typer.Option(
            "--query", "-q", help="A sound to pull out, in English; repeat for more.", show_default=False
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "-p",
            metavar="NAME|FILE",
            help=f"Do the job of a preset instead; --set changes it, and {_REFUSED} do not go with it.",
            show_default=False,
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change the preset: stem.drums.gain_db=-3.", show_default=False
        ),
    ] = None,
    listed: Annotated[
        str | None,
        typer.Option(
            "--list", metavar="FILE", help="More mixes, a path a line; - for input.", show_default=False
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the files.")] = Path("stems"),
    model: Annotated[str, typer.Option(help="A model's name, or its weights file.")] = "lariat",
    rest: Annotated[bool, typer.Option(help="Write the mix without the stems, too.")] = True,
    remove: Annotated[
        bool, typer.Option("--remove", help="Write only the rest: the mix without these sounds.")
    ] = False,
    start: Annotated[
        float,
        typer.Option(parser=read_seconds, metavar="TIME", help="Where to begin: seconds, m:ss or h:mm:ss."),
    ] = 0.0,
    length: Annotated[
        float | None,
        typer.Option(
            parser=read_seconds,
            metavar="TIME",
            help="How much to render at most, written alike; to the end, if not given.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[str, typer.Option(metavar="|".join(FORMATS), help="The files' format.")] = "wav",
    subtype: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(SUBTYPES),
            help="How samples are stored; 'same' as the input. FLOAT for wav, PCM_24 for flac.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            help=f"How files are named, from {', '.join(FIELDS)} (folder: where the mix is); / makes folders."
        ),
    ] = DEFAULT_TEMPLATE,
    stereo: Annotated[Stereo, typer.Option(help="One mask for all channels, or one each.")] = Stereo.linked,
    consistent: Annotated[
        bool,
        typer.Option(
            "--consistent", help="Let stems compete, so that they share nothing; else they may overlap."
        ),
    ] = False,
    avoid: Avoid = None,
    gate: Gate = True,
    gate_threshold: GateThreshold = USUAL_THRESHOLD,
    plot: Annotated[bool, typer.Option("--plot", help="Draw spectrograms of mix, stems and rest.")] = False,
    sessions: Annotated[
        list[str] | None,
        typer.Option(
            "--session",
            metavar="|".join(SESSION_KINDS),
            help="Write a session for DAWs beside the stems; repeat for more.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write a page to hear and see it all in a browser.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each mix.")] = False,
    events: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write what happens as JSON lines; fd:N for an open descriptor.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there; stems of earlier queries stay.")
    ] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            "--resume",
            help="Pass over mixes rendered before from the same input, queries, model and settings; "
            "with others, a mix is rendered anew, and what it gave before replaced unless it was edited.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all, print the files to come, compute nothing.")
    ] = False,
    device: Annotated[str, typer.Option(metavar="cpu|cuda|mps", help="Where to compute.")] = "cpu",
    jobs: Annotated[
        int, typer.Option(min=1, help="Mixes to render at once, each in a process with the model in memory.")
    ] = 1,
    summary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write what became of each mix, as .jsonl or .csv.", show_default=False
        ),
    ] = None,
) -> None:
    """Name sounds, get their stems as files.

    Stems have the rate, channels and length of the mix, and with "<mix> - rest" they add up to it.
    "<mix>.soundlasso.json" records what was done.
    """
    signal.signal(signal.SIGTERM, _end)
    try:
        _check_asked(context, mixes, queries, preset, changes, listed)
        more: dict[str, Any] = {
            "start_s": start,
            "length_s": length,
            "existing": _existing(overwrite, skip_existing),
            "device": device,
        }
        if preset is not None:
            settings = _of_preset(
                preset, changes or (), more, (plot, report, to_session_kinds(sessions or ()))
            )
        else:
            settings = RenderSettings(
                model=model,
                rest=rest,
                remove=remove,
                format=format,
                subtype=subtype,
                name=name,
                stereo=stereo.value,
                consistent=consistent,
                avoid=tuple(avoid or ()),
                gate=gate,
                gate_threshold=gate_threshold,
                plot=plot,
                sessions=to_session_kinds(sessions or ()),
                report=report,
                **more,
            )
        inputs = find_inputs(mixes or (), out, listed=read_list(listed) if listed else (), tell=complain)
        outcome = BatchReport(summary)
        log = _open_log(events, inputs)
    except SoundlassoError as error:
        complain(error)
        raise typer.Exit(USAGE) from error
    batch = Batch(inputs, Manner(as_json, jobs, dry_run), log, outcome)
    with log or contextlib.nullcontext():
        batch.run(queries or (), settings)
    if batch.failed:
        raise typer.Exit(FAILURE)


def _check_asked(
    context: typer.Context,
    mixes: Sequence[str] | None,
    queries: Sequence[str] | None,
    preset: str | None,
    changes: Sequence[str] | None,
    listed: str | None,
) -> None:
    """Refuse options that lack something, or do not go together."""
    if not mixes and not listed:
        raise SoundlassoError("missing argument 'MIX...'; name files or folders, or give a --list")
    if not queries and preset is None:
        raise SoundlassoError("missing option '--query' or '--preset'; name a sound, or what to do")
    if queries and preset is not None:
        raise SoundlassoError(
            "--query and --preset exclude each other; add a sound by --set stem.NAME.query=TEXT"
        )
    if changes and preset is None:
        raise SoundlassoError("--set changes a preset; name one with --preset")
    if preset is not None:
        for option, key in _OF_PRESET.items():
            source = context.get_parameter_source(option)
            if source is not None and source.name == "COMMANDLINE":
                option = option.replace("_", "-")
                raise SoundlassoError(f"--{option} goes with --query; with a preset, use --set {key}=VALUE")


def _of_preset(
    name: str,
    changes: Sequence[str],
    more: dict[str, Any],
    beside: tuple[bool, bool, tuple[SessionKind, ...]],
) -> RenderSettings:
    """Return a preset's settings, with picture, page and sessions that are asked for on top."""
    from soundlasso.bridge.presets.library import load_preset
    from soundlasso.bridge.presets.rendering import settings_of

    settings = settings_of(load_preset(name, changes), **more)
    plot, report, sessions = beside
    return dataclasses.replace(
        settings,
        plot=settings.plot or plot,
        report=settings.report or report,
        sessions=tuple(dict.fromkeys((*settings.sessions, *sessions))),
    )


def _existing(overwrite: bool, skip_existing: bool) -> Existing:
    if overwrite and skip_existing:
        raise SoundlassoError("--overwrite and --skip-existing exclude each other; choose one")
    return "overwrite" if overwrite else "skip" if skip_existing else "refuse"


def _open_log(target: str | None, inputs: Sequence[Input]) -> EventLog | None:
    if target is None:
        return None
    if os.path.realpath(target) in {os.path.realpath(mix.path) for mix in inputs}:
        raise SoundlassoError(f"{target!r} is an input; write the events to another file")
    return EventLog(target)


def _end(number: int, frame: FrameType | None) -> None:
    """Leave as Ctrl-C does, so that no partial file stays."""
    raise SystemExit(_TERMINATED)
