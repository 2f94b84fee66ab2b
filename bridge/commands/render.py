"""`soundlasso render`: name sounds, get their stems as files."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from soundlasso.bridge.audiofile_format import FORMATS, SUBTYPES
from soundlasso.bridge.events import Event, EventLog, OnEvent
from soundlasso.bridge.naming import DEFAULT_TEMPLATE, FIELDS, printable
from soundlasso.bridge.render_display import Bars, Lines
from soundlasso.bridge.render_inputs import Input, find_inputs
from soundlasso.bridge.render_plan import (
    Existing,
    RenderPlan,
    RenderSettings,
    check_existing,
    check_plan_space,
    check_plans,
    plan_render,
)
from soundlasso.bridge.render_result import RenderResult, StemResult
from soundlasso.dsp.errors import AudioFileError, SoundlassoError, UnknownModelError

FAILURE, USAGE = 1, 2
_TERMINATED = 128 + signal.SIGTERM


class Stereo(StrEnum):
    """How channels are treated."""

    linked = "linked"
    independent = "independent"


def render(
    mixes: Annotated[
        list[str], typer.Argument(metavar="MIX...", help="Files, folders or patterns.", show_default=False)
    ],
    queries: Annotated[
        list[str],
        typer.Option("--query", "-q", help="A sound to pull out; repeat for more.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the files.")] = Path("stems"),
    model: Annotated[str, typer.Option(help="A model's name, or its weights file.")] = "lariat",
    rest: Annotated[bool, typer.Option(help="Write the mix without the stems, too.")] = True,
    remove: Annotated[
        bool, typer.Option("--remove", help="Write only the rest: the mix without these sounds.")
    ] = False,
    start: Annotated[float, typer.Option(metavar="S", help="Begin at this second.")] = 0.0,
    length: Annotated[
        float | None, typer.Option(metavar="S", help="Render this many seconds at most.")
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
        str, typer.Option(help=f"How files are named, from {', '.join(FIELDS)}; / makes folders.")
    ] = DEFAULT_TEMPLATE,
    stereo: Annotated[Stereo, typer.Option(help="One mask for all channels, or one each.")] = Stereo.linked,
    consistent: Annotated[
        bool, typer.Option("--consistent", help="Let stems compete, so that they share nothing.")
    ] = False,
    avoid: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="A sound that competes but gives no stem.", show_default=False),
    ] = None,
    gate: Annotated[bool, typer.Option(help="Silence a stem where its sound is not there.")] = True,
    plot: Annotated[bool, typer.Option("--plot", help="Draw spectrograms of mix, stems and rest.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each mix.")] = False,
    events: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write what happens as JSON lines; fd:N for an open descriptor.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Pass over mixes rendered before from the same input, queries, model and settings.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all, print the files to come, compute nothing.")
    ] = False,
    device: Annotated[str, typer.Option(metavar="cpu|cuda|mps", help="Where to compute.")] = "cpu",
) -> None:
    """Name sounds, get their stems as files.

    Stems have the rate, channels and length of the mix, and with "<mix> - rest" they add up to it.
    "<mix>.soundlasso.json" records what was done.
    """
    signal.signal(signal.SIGTERM, _end)
    try:
        settings = RenderSettings(
            model=model,
            rest=rest,
            remove=remove,
            start_s=start,
            length_s=length,
            format=format,
            subtype=subtype,
            name=name,
            stereo=stereo.value,
            consistent=consistent,
            avoid=tuple(avoid or ()),
            gate=gate,
            plot=plot,
            existing=_existing(overwrite, skip_existing),
            device=device,
        )
        inputs = find_inputs(mixes, out)
        log = _open_log(events, inputs)
    except SoundlassoError as error:
        raise _usage(error) from error
    batch = _Batch(inputs, as_json, log)
    with log or contextlib.nullcontext():
        batch.run(queries, settings, dry_run)
    if batch.failed:
        raise typer.Exit(FAILURE)


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


def _complain(text: object) -> None:
    typer.echo(f"soundlasso: {printable(text)}", err=True)


def _print_json(fields: dict[str, Any]) -> None:
    """Print an object on one line; bytes of a path that are no UTF-8 become escapes."""
    typer.echo(json.dumps(fields, ensure_ascii=False).encode(errors="backslashreplace").decode())


def _usage(error: SoundlassoError) -> typer.Exit:
    _complain(error)
    return typer.Exit(USAGE)


class _Batch:
    """Several mixes in one go, of which a bad one does not stop the others."""

    def __init__(self, inputs: Sequence[Input], as_json: bool, log: EventLog | None) -> None:
        self.failed = False
        self._inputs = inputs
        self._as_json = as_json
        self._log = log

    def run(self, queries: Sequence[str], settings: RenderSettings, dry_run: bool) -> None:
        """Check all, then render all, or only say what would come of it."""
        try:
            plans = self._plan(queries, settings)
        except SoundlassoError as error:
            raise self._stop(error, USAGE) from error
        try:
            check_plan_space(plans)
            if plans:
                self._load(settings)
        except SoundlassoError as error:
            raise self._stop(error, USAGE if isinstance(error, UnknownModelError) else FAILURE) from error
        if dry_run:
            _print_plans(plans, self._as_json)
        else:
            self._render(plans)

    def _plan(self, queries: Sequence[str], settings: RenderSettings) -> list[RenderPlan]:
        plans = []
        for mix in self._inputs:
            try:
                plan = plan_render(mix.path, queries, mix.out, settings)
                if settings.existing == "skip":  # of a batch that is taken up again, one mix alone fails
                    check_existing(plan)
                plans.append(plan)
            except AudioFileError as error:
                self._fail(mix.path, error)
        check_plans(plans, [mix.path for mix in self._inputs])
        return plans

    def _render(self, plans: Sequence[RenderPlan]) -> None:
        for plan in plans:
            try:
                result = self._render_one(plan)
            except (SoundlassoError, OSError) as error:
                self._fail(plan.mix.path, error)
            else:
                for warning in result.warnings:
                    _complain(warning)
                _print_result(result, self._as_json)

    def _load(self, settings: RenderSettings) -> None:
        from soundlasso.models.separator import load_model

        load_model(settings.model, settings.device).settle_threads()

    def _render_one(self, plan: RenderPlan) -> RenderResult:
        from soundlasso.bridge.render import run_plan

        with Bars(sys.stderr) if sys.stderr.isatty() else Lines(sys.stderr) as display:
            return run_plan(plan, progress=_both(display, self._log))

    def _fail(self, mix: Path, error: Exception) -> None:
        self.failed = True
        _complain(error)
        self._tell(mix, error)

    def _stop(self, error: SoundlassoError, code: int) -> typer.Exit:
        """Say why no mix can be rendered, and how to exit."""
        _complain(error)
        for mix in self._inputs:
            self._tell(mix.path, error)
        return typer.Exit(code)

    def _tell(self, mix: Path, error: Exception) -> None:
        if self._log is not None:
            self._log(Event("error", str(mix), message=str(error)))


def _both(display: OnEvent, log: OnEvent | None) -> OnEvent:
    def tell(event: Event) -> None:
        display(event)
        if log is not None:
            log(event)

    return tell


def _print_plans(plans: Sequence[RenderPlan], as_json: bool) -> None:
    for plan in plans:
        if as_json:
            _print_json(_plan_to_dict(plan))
        else:
            typer.echo("\n".join(printable(path) for path in plan.files))


def _plan_to_dict(plan: RenderPlan) -> dict[str, Any]:
    stems = zip(plan.queries, plan.stems, strict=True)
    return {
        "mix": str(plan.mix.path),
        "stems": [{"query": query, "path": None if path is None else str(path)} for query, path in stems],
        "rest": None if plan.rest is None else str(plan.rest),
    }


def _print_result(result: RenderResult, as_json: bool) -> None:
    if as_json:
        _print_json(result.to_dict())
        return
    done = "was there" if result.skipped else f"took {result.realtime_factor:.3f} of real time"
    typer.echo(f"{printable(result.mix)} ({result.seconds:.1f} s) {done}")
    for stem in [*result.stems, *([result.rest] if result.rest else [])]:
        typer.echo(f"  {_describe(stem)}")


def _describe(stem: StemResult) -> str:
    where = f"{stem.query!r}, removed" if stem.path is None else printable(stem.path)
    level = "silent" if stem.peak_db < -200 else f"peak {stem.peak_db:.1f} dBFS"
    return f"{where}: {level}" if stem.presence is None else f"{where}: {level}, presence {stem.presence:.0%}"
