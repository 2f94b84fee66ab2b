"""Several mixes by one command: planned and checked together, rendered, told of, and summed up."""

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from soundlasso.bridge.batch import Outcome, run_batch
from soundlasso.bridge.batch_report import BatchReport
from soundlasso.bridge.events import Event, EventLog, OnEvent
from soundlasso.bridge.naming import printable
from soundlasso.bridge.render_display import Bars, Lines
from soundlasso.bridge.render_existing import check_existing
from soundlasso.bridge.render_inputs import Input
from soundlasso.bridge.render_plan import (
    RenderPlan,
    RenderSettings,
    check_plan_space,
    check_plans,
    find_collisions,
    plan_render,
)
from soundlasso.bridge.render_result import RenderResult, StemResult
from soundlasso.dsp.errors import AudioFileError, PresetError, SoundlassoError, UnknownModelError

FAILURE, USAGE = 1, 2


def complain(text: object) -> None:
    """Tell of something wrong: on one line, but for a preset's mistakes, which have a line each."""
    lines = str(text).split("\n") if isinstance(text, PresetError) else [text]
    typer.echo("soundlasso: " + "\n".join(map(printable, lines)), err=True)


@dataclasses.dataclass(frozen=True)
class Manner:
    """How a batch is done, and told of."""

    as_json: bool
    jobs: int
    dry_run: bool


class Batch:
    """Several mixes in one go, of which a bad one does not stop the others."""

    def __init__(
        self, inputs: Sequence[Input], manner: Manner, log: EventLog | None, report: BatchReport
    ) -> None:
        self.failed = False
        self._inputs = inputs
        self._manner = manner
        self._log = log
        self._report = report

    def run(self, queries: Sequence[str], settings: RenderSettings) -> None:
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
        if self._manner.dry_run:
            _print_plans(plans, self._manner.as_json)
        else:
            self._render(plans)

    def _plan(self, queries: Sequence[str], settings: RenderSettings) -> list[RenderPlan]:
        plans = []
        for mix in self._inputs:
            try:
                plan = _plan_one(mix, queries, settings)
                if settings.existing == "skip":  # of a batch that is taken up again, one mix alone fails
                    check_existing(plan)
                plans.append(plan)
            except AudioFileError as error:
                self._reject(mix.path, error)
        plans = self._without_collisions(plans)
        check_plans(plans, [mix.path for mix in self._inputs])
        return plans

    def _without_collisions(self, plans: list[RenderPlan]) -> list[RenderPlan]:
        """Reject mixes that would have a file in common; when all would, no mix can be rendered."""
        errors = find_collisions(plans)
        if len(errors) < len(plans):
            for mix, error in errors.items():
                self._reject(mix, error)
            plans = [plan for plan in plans if plan.mix.path not in errors]
        return plans

    def _reject(self, mix: Path, error: object) -> None:
        """Fail a mix that could not even be planned."""
        self._fail(mix, error)
        self._report.add_failure(mix, error)

    def _load(self, settings: RenderSettings) -> None:
        """Find out that the model, and a preset's plugins, can be loaded at all."""
        from soundlasso.models.separator import load_model

        if settings.preset is not None:
            settings.preset.board()
        load_model(settings.model, settings.device).settle_threads()

    def _render(self, plans: Sequence[RenderPlan]) -> None:
        started_s = time.monotonic()
        try:
            with Bars(sys.stderr) if sys.stderr.isatty() else Lines(sys.stderr) as display:
                outcomes = run_batch(plans, jobs=self._manner.jobs, progress=self._both(display))
                with contextlib.closing(outcomes):
                    for outcome in outcomes:
                        with display.aside():
                            self._take(outcome)
        finally:
            self._report.write()
        if len(self._inputs) > 1 and not self._manner.as_json:
            jobs = max(1, min(self._manner.jobs, len(plans)))
            Console().print(self._report.table(time.monotonic() - started_s, jobs))

    def _take(self, outcome: Outcome) -> None:
        self._report.add(outcome)
        if outcome.result is None:
            self._fail(outcome.plan.mix.path, outcome.error)
            return
        for warning in outcome.result.warnings:
            complain(warning)
        _print_result(outcome.result, self._manner.as_json)
        hint = _hint(outcome.result, outcome.plan.settings)
        if hint and not self._manner.as_json:
            typer.echo(f"  {hint}")

    def _fail(self, mix: Path, error: object) -> None:
        self.failed = True
        complain(error)
        self._tell(_error(mix, error))

    def _stop(self, error: SoundlassoError, code: int) -> typer.Exit:
        """Say why no mix can be rendered, and how to exit."""
        complain(error)
        for mix in self._inputs:
            self._tell(_error(mix.path, error))
        return typer.Exit(code)

    def _both(self, display: OnEvent) -> OnEvent:
        def tell(event: Event) -> None:
            display(event)
            self._tell(event)

        return tell

    def _tell(self, event: Event) -> None:
        """Write an event; a log that cannot be written is a failure, but stops no mix."""
        if self._log is None:
            return
        try:
            self._log(event)
        except SoundlassoError as error:
            self.failed = True
            complain(error)


def _error(mix: Path, error: object) -> Event:
    return Event("error", str(mix), message=str(error))


def _plan_one(mix: Input, queries: Sequence[str], settings: RenderSettings) -> RenderPlan:
    if settings.preset is None:
        return plan_render(mix.path, queries, mix.out, settings)
    from soundlasso.bridge.presets.rendering import plan_preset

    return plan_preset(mix.path, mix.out, settings)


def _print_json(fields: dict[str, Any]) -> None:
    """Print an object on one line; bytes of a path that are no UTF-8 become escapes."""
    typer.echo(json.dumps(fields, ensure_ascii=False).encode(errors="backslashreplace").decode())


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
        **({} if plan.mixdown is None else {"mixdown": str(plan.mixdown)}),
    }


def _print_result(result: RenderResult, as_json: bool) -> None:
    if as_json:
        _print_json(result.to_dict())
        return
    done = "was there" if result.skipped else f"took {result.realtime_factor:.3f} of real time"
    typer.echo(f"{printable(result.mix)} ({result.seconds:.1f} s) {done}")
    for stem in result.parts:
        typer.echo(f"  {_describe(stem)}")


def _describe(stem: StemResult) -> str:
    where = f"{stem.query!r}, {_absence(stem)}" if stem.path is None else printable(stem.path)
    level = "silent" if _is_silent(stem) else f"peak {stem.peak_db:.1f} dBFS"
    return f"{where}: {level}" if stem.presence is None else f"{where}: {level}, presence {stem.presence:.0%}"


def _is_silent(stem: StemResult) -> bool:
    return stem.peak_db < -200


def _hint(result: RenderResult, settings: RenderSettings) -> str:
    """Say what to try when a sound was not found; empty when all were."""
    silent = [_is_silent(stem) for stem in result.stems]
    if not any(silent):
        return ""
    nothing = ", so nothing was removed" if settings.remove and all(silent) else ""
    if not settings.gate:
        ways = "other words"
    elif settings.preset is not None:
        ways = "other words, or --set gate=false"
    else:
        ways = "other words, --gate-threshold 0.3 or --no-gate"
    return f"not found{nothing}: try {ways}"


def _absence(stem: StemResult) -> str:
    """Say why a stem has no file: removed, or, in a preset, only heard in the mix."""
    return "removed" if stem.name is None else "no file of its own"
