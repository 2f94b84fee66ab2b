"""Decide everything about a render before a sample is computed: settings, names, places, sizes."""

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from soundlasso.bridge.audiofile import AudioInfo, inspect_audio, region_frames
from soundlasso.bridge.audiofile_format import OutputFormat, check_format, choose_format
from soundlasso.bridge.audiofile_write import check_space
from soundlasso.bridge.automation import Change, check_changes
from soundlasso.bridge.export.session import SessionKind, session_path, to_session_kinds
from soundlasso.bridge.manifest import MANIFEST_ENDING
from soundlasso.bridge.naming import (
    DEFAULT_TEMPLATE,
    check_template,
    collision_key,
    fill_template,
    make_distinct,
    safe_name,
    template_fields,
)
from soundlasso.bridge.picture import check_matplotlib
from soundlasso.bridge.render_existing import check_existing
from soundlasso.dsp.errors import QueryError, SoundlassoError
from soundlasso.dsp.gate import USUAL_THRESHOLD

if TYPE_CHECKING:
    from soundlasso.bridge.presets.preset import Preset

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
    gate_threshold: float | tuple[float, ...] = USUAL_THRESHOLD
    changes: tuple[Change, ...] = ()
    plot: bool = False
    sessions: tuple[SessionKind, ...] = ()
    report: bool = False
    existing: Existing = "refuse"
    device: str = "cpu"
    preset: "Preset | None" = None

    def __post_init__(self) -> None:
        """Check all that can be checked without a mix."""
        check_template(self.name)
        check_format(self.format, self.subtype)
        _check_choice("stereo", self.stereo, ("linked", "independent"))
        to_session_kinds(self.sessions)
        _check_choice("existing", self.existing, ("refuse", "overwrite", "skip"))
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise SoundlassoError(f"cannot start at {self.start_s!r} s; choose 0 or more")
        if self.length_s is not None and not (math.isfinite(self.length_s) and self.length_s > 0):
            raise SoundlassoError(f"cannot render a length of {self.length_s!r} s; choose more than 0")
        _check_thresholds(self.gate_threshold)
        if self.changes and self.preset is not None:
            raise SoundlassoError("a preset's render cannot change on the way; give queries instead")
        if self.remove and not self.rest:
            raise SoundlassoError(
                "remove (--remove) writes only the rest, which rest=False (--no-rest) leaves out; choose one"
            )


def _check_thresholds(thresholds: float | tuple[float, ...]) -> None:
    for threshold in thresholds if isinstance(thresholds, tuple) else (thresholds,):
        if not 0 <= threshold <= 1:
            raise SoundlassoError(f"a gate threshold of {threshold!r} cannot be; choose 0 to 1")


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
    mixdown
        Where the sum of stems and rest goes, if a preset asks for it.
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
    mixdown: Path | None = None

    @property
    def audio_files(self) -> list[Path]:
        """The audio files to come, stems first."""
        return [path for path in (*self.stems, self.rest, self.mixdown) if path is not None]

    @property
    def files(self) -> list[Path]:
        """All files to come, in the order they are written: the manifest last."""
        pages = [path for path in (self.picture, self.report) if path is not None]
        return [*self.audio_files, *pages, *self.sessions.values(), self.manifest]

    @property
    def space(self) -> list[tuple[Path, OutputFormat]]:
        """Where audio will take room, and what: a DAWproject packs all of it a second time."""
        audio = [(path, self.output) for path in self.audio_files]
        packed = self.sessions.get("dawproject")
        return audio if packed is None else [*audio, *((packed, self.output) for _ in audio)]

    @property
    def sessions(self) -> dict[SessionKind, Path]:
        """Where each session goes that is wanted."""
        folder, base = self.manifest.parent, safe_name(self.mix.path.stem)
        return {kind: session_path(kind, folder, base) for kind in self.settings.sessions}

    @property
    def report(self) -> Path | None:
        """Where the page goes, if one is wanted."""
        name = f"{safe_name(self.mix.path.stem)}.soundlasso.html"
        return self.manifest.with_name(name) if self.settings.report else None


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
    SoundlassoError
        A threshold or a change is for a stem that there is not.
    """
    info = inspect_audio(mix)
    queries, avoid = check_sounds(queries, settings.avoid)
    check_changes(settings.changes, len(queries))
    _check_count(settings.gate_threshold, len(queries))
    settings = dataclasses.replace(settings, avoid=avoid)
    start, frames = region_frames(info, settings.start_s, settings.length_s)
    return RenderPlan(
        mix=info,
        queries=queries,
        settings=settings,
        start=start,
        frames=frames,
        output=choose_format(info, frames, format=settings.format, subtype=settings.subtype),
        **_place_files(info.path, queries, Path(out), settings),
    )


def _check_count(thresholds: float | tuple[float, ...], n_queries: int) -> None:
    if isinstance(thresholds, tuple) and len(thresholds) != n_queries:
        raise SoundlassoError(f"{len(thresholds)} gate thresholds for {n_queries} queries; give one for each")


class _Places(TypedDict):
    """Where each file of a plan goes; the fields of `RenderPlan`."""

    stems: tuple[Path | None, ...]
    rest: Path | None
    manifest: Path
    picture: Path | None


def _place_files(mix: Path, queries: Sequence[str], out: Path, settings: RenderSettings) -> _Places:
    # The rest comes first to keep its name when a query is "rest".
    written = [*([REST] if settings.rest else []), *([] if settings.remove else queries)]
    if not {"query", "stem"} & template_fields(settings.name) and len(written) > 1:
        raise SoundlassoError(f"the name template {settings.name!r} gives all stems one name; add {{query}}")
    named = name_audio(mix, [{"query": query, "stem": query} for query in written], out, settings)
    rest = named.pop(0) if settings.rest else None
    manifest, picture = place_beside(mix, out, settings)
    return _Places(
        stems=(None,) * len(queries) if settings.remove else tuple(named),
        rest=rest,
        manifest=manifest,
        picture=picture,
    )


def place_beside(mix: Path, out: Path, settings: RenderSettings) -> tuple[Path, Path | None]:
    """Return where the manifest goes, and the picture if one is wanted."""
    base = safe_name(mix.stem)
    return out / f"{base}{MANIFEST_ENDING}", out / f"{base}.soundlasso.png" if settings.plot else None


def check_sounds(queries: Sequence[str], avoid: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Trim the sounds that are asked for and those to avoid.

    Raises
    ------
    QueryError
        None is asked for, one is given twice, or one is on both sides: its stem would be silent.
    """
    queries, avoid = check_queries(queries), check_queries(avoid)
    if not queries:
        raise QueryError("no query; name at least one sound")
    both = [query for query in queries if query in avoid]
    if both:
        raise QueryError(f"{both[0]!r} is both asked for and to be avoided; choose one")
    return queries, avoid


def check_queries(queries: Sequence[str]) -> tuple[str, ...]:
    """Trim texts that name sounds, refusing the same one twice.

    Raises
    ------
    QueryError
        With the query.
    """
    from soundlasso.models.query import check_query

    checked = tuple(check_query(query) for query in queries)
    twice = [query for query in checked if checked.count(query) > 1]
    if twice:
        raise QueryError(f"the query {twice[0]!r} is given twice; name each sound once")
    return checked


def name_audio(
    mix: Path, files: Iterable[Mapping[str, str]], out: Path, settings: RenderSettings
) -> list[Path]:
    """Name audio files by the template, each by its own fields, so that no two are one."""
    common = {"mix": mix.stem, "model": Path(settings.model).stem, "folder": mix.absolute().parent.name}
    common["preset"] = "no preset"
    names = [fill_template(settings.name, {**common, **fields}) for fields in files]
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
        Two files would have one name, an input would be replaced, a file is there already or cannot be made
        there, or matplotlib is missing.
    """
    if any(plan.picture or plan.report for plan in plans):
        check_matplotlib()
    for error in find_collisions(plans).values():
        raise error
    kept = {os.path.realpath(path) for path in (*inputs, *(plan.mix.path for plan in plans))}
    for plan in plans:
        for path in plan.files:
            if os.path.realpath(path) in kept:
                raise SoundlassoError(f"{str(path)!r} is an input; choose another folder or name")
        check_existing(plan)


def check_plan_space(plans: Iterable[RenderPlan]) -> None:
    """Check that the files of all plans fit on their disks.

    A mix that may be skipped is left out: it is checked again when it turns out that it is not.

    Raises
    ------
    AudioFileError
        They do not.
    """
    sure = [plan for plan in plans if plan.settings.existing != "skip" or not plan.manifest.exists()]
    check_space(needed for plan in sure for needed in plan.space)


def find_collisions(plans: Sequence[RenderPlan]) -> dict[Path, SoundlassoError]:
    """Find mixes that would have a file in common, and say of each what is wrong."""
    taken: dict[str, Path] = {}
    errors: dict[Path, SoundlassoError] = {}
    for plan in plans:
        for path in plan.files:
            mix = plan.mix.path
            other = taken.setdefault(collision_key(path.absolute()), mix)
            if other != mix:
                errors.setdefault(mix, _collision(mix, other, plan, path))
                errors.setdefault(other, _collision(other, mix, plan, path))
    return errors


def _collision(mix: Path, other: Path, plan: RenderPlan, path: Path) -> SoundlassoError:
    by_name = path in plan.audio_files and "mix" not in template_fields(plan.settings.name)
    way = "add {mix} to the name template" if by_name else "render one into another folder, or rename it"
    return SoundlassoError(f"{str(mix)!r} would become {str(path)!r}, as would {str(other)!r}; {way}")
