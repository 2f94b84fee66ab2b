"""Decide everything about a render before a sample is computed: settings, names, places, sizes."""

import dataclasses
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from soundlasso.bridge.audiofile import AudioInfo, inspect_audio, region_frames
from soundlasso.bridge.audiofile_format import FORMATS, SUBTYPES, OutputFormat, choose_format
from soundlasso.bridge.audiofile_write import check_space
from soundlasso.bridge.manifest import MANIFEST_ENDING, listed_outputs
from soundlasso.bridge.naming import (
    DEFAULT_TEMPLATE,
    check_template,
    collision_key,
    fill_template,
    make_distinct,
    safe_name,
)
from soundlasso.bridge.picture import check_matplotlib
from soundlasso.dsp.errors import QueryError, SoundlassoError

Existing = Literal["refuse", "overwrite", "skip"]
REST = "rest"


@dataclasses.dataclass(frozen=True)
class RenderSettings:
    """What is asked of a render beside mix and queries; `soundlasso.bridge.render.render` explains each."""

    model: str = "lariat"
    rest: bool = True
    remove: bool = False
    start_s: float = 0.0
    length_s: float | None = None
    format: str = "wav"
    subtype: str | None = None
    name: str = DEFAULT_TEMPLATE
    stereo: Literal["linked", "independent"] = "linked"
    consistent: bool = False
    avoid: tuple[str, ...] = ()
    gate: bool = True
    plot: bool = False
    existing: Existing = "refuse"
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Check all that can be checked without a mix."""
        check_template(self.name)
        _check_choice("format", self.format, FORMATS)
        if self.subtype is not None:
            _check_choice("subtype", self.subtype, SUBTYPES)
        _check_choice("stereo", self.stereo, ("linked", "independent"))
        _check_choice("existing", self.existing, ("refuse", "overwrite", "skip"))
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise SoundlassoError(f"cannot start at {self.start_s!r} s; choose 0 or more")
        if self.length_s is not None and not (math.isfinite(self.length_s) and self.length_s > 0):
            raise SoundlassoError(f"cannot render a length of {self.length_s!r} s; choose more than 0")
        if self.remove and not self.rest:
            raise SoundlassoError("to remove sounds is to keep the rest; choose one of remove and no rest")


def _check_choice(what: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise SoundlassoError(f"no {what} {value!r}; choose one of {', '.join(choices)}")


@dataclasses.dataclass(frozen=True)
class RenderPlan:
    """One mix, and every file that will come of it.

    Attributes
    ----------
    mix
        The input.
    start, frames
        The region to render, in samples per channel.
    stems
        Where each query's stem goes; None for all when sounds are removed.
    rest
        Where the mix without the stems goes, if it is wanted.
    """

    mix: AudioInfo
    queries: tuple[str, ...]
    settings: RenderSettings
    start: int
    frames: int
    output: OutputFormat
    stems: tuple[Path | None, ...]
    rest: Path | None
    manifest: Path
    picture: Path | None

    @property
    def audio_files(self) -> list[Path]:
        """The audio files to come, stems first."""
        return [path for path in (*self.stems, self.rest) if path is not None]

    @property
    def files(self) -> list[Path]:
        """All files to come, in the order they are written: the manifest last."""
        return [*self.audio_files, *([self.picture] if self.picture else []), self.manifest]


def plan_render(
    mix: str | os.PathLike[str], queries: Sequence[str], out: str | os.PathLike[str], settings: RenderSettings
) -> RenderPlan:
    """Plan the render of one mix.

    Parameters
    ----------
    mix
        The audio file.
    queries
        The sounds to pull out.
    out
        The folder for the files; made when the render starts.
    settings
        All the rest.

    Returns
    -------
    RenderPlan
        With distinct paths, valid on every operating system.

    Raises
    ------
    AudioFileError
        The mix cannot be read, or the format cannot hold it.
    QueryError
        A query is no query, or is given twice.
    """
    info = inspect_audio(mix)
    queries = check_queries(queries)
    if not queries:
        raise QueryError("no query; name at least one sound")
    settings = dataclasses.replace(settings, avoid=check_queries(settings.avoid))
    start, frames = region_frames(info, settings.start_s, settings.length_s)
    output = choose_format(info, frames, format=settings.format, subtype=settings.subtype)
    rest, *stems = _name_files(info.path, queries, Path(out), settings)
    base = safe_name(info.path.stem)
    return RenderPlan(
        info,
        queries,
        settings,
        start,
        frames,
        output,
        stems=(None,) * len(queries) if settings.remove else tuple(stems),
        rest=rest if settings.rest else None,
        manifest=Path(out) / f"{base}{MANIFEST_ENDING}",
        picture=Path(out) / f"{base}.soundlasso.png" if settings.plot else None,
    )


def check_queries(queries: Sequence[str]) -> tuple[str, ...]:
    """Trim texts that name sounds, refusing the same one twice.

    Raises
    ------
    QueryError
        With the query.
    """
    from soundlasso.models.text import check_query

    checked = tuple(check_query(query) for query in queries)
    twice = [query for query in checked if checked.count(query) > 1]
    if twice:
        raise QueryError(f"the query {twice[0]!r} is given twice; name each sound once")
    return checked


def _name_files(mix: Path, queries: Sequence[str], out: Path, settings: RenderSettings) -> list[Path]:
    """Name the rest, then each stem; the rest comes first to keep its name when a query is "rest"."""
    if "{query}" not in settings.name and len(queries) + settings.rest > 1:
        raise SoundlassoError(f"the name template {settings.name!r} gives all stems one name; add {{query}}")
    common = {"mix": mix.stem, "model": Path(settings.model).stem, "folder": mix.absolute().parent.name}
    names = [fill_template(settings.name, {**common, "query": query}) for query in (REST, *queries)]
    return [out / f"{name}.{settings.format}" for name in make_distinct(names)]


def check_plans(plans: Sequence[RenderPlan], inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Check that plans do not get in each other's way, nor in that of files that are there.

    Parameters
    ----------
    plans
        All that will be rendered in one go.
    inputs
        Further files that must stay, such as mixes that could not be planned.

    Raises
    ------
    SoundlassoError
        Two files would have one name, an input would be replaced, a file is there already, or matplotlib is
        missing.
    """
    if any(plan.picture for plan in plans):
        check_matplotlib()
    _check_collisions(plans)
    kept = {os.path.realpath(path) for path in (*inputs, *(plan.mix.path for plan in plans))}
    for plan in plans:
        for path in plan.files:
            if os.path.realpath(path) in kept:
                raise SoundlassoError(f"{str(path)!r} is an input; choose another folder or name")
        _check_existing(plan)


def check_plan_space(plans: Iterable[RenderPlan]) -> None:
    """Check that the files of all plans fit on their disks.

    Raises
    ------
    AudioFileError
        They do not.
    """
    check_space((path, plan.output) for plan in plans for path in plan.audio_files)


def _check_collisions(plans: Sequence[RenderPlan]) -> None:
    taken: dict[str, Path] = {}
    for plan in plans:
        for path in plan.files:
            other = taken.setdefault(collision_key(path.absolute()), plan.mix.path)
            if other != plan.mix.path:
                raise SoundlassoError(
                    f"{str(other)!r} and {str(plan.mix.path)!r} would both become {str(path)!r}; "
                    "render them into different folders, or one at a time"
                )


def _check_existing(plan: RenderPlan) -> None:
    there = [path for path in plan.files if path.exists()]
    folders = [path for path in there if path.is_dir()]
    if folders:
        raise SoundlassoError(f"{str(folders[0])!r} is a folder; a file is to go there")
    if plan.settings.existing == "overwrite":
        return
    if plan.settings.existing == "skip":
        ours = {plan.manifest, *listed_outputs(plan.manifest)}
        there = [path for path in there if path not in ours]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise SoundlassoError(
            f"{str(there[0])!r}{more} exists already; overwrite it, or skip what was rendered before"
        )
