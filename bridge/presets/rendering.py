"""Presets to files: what a render has to know of a preset, decided before a sample is computed."""

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from soundlasso.bridge.audiofile import inspect_audio, region_frames
from soundlasso.bridge.audiofile_format import choose_format
from soundlasso.bridge.effect import StreamSpec
from soundlasso.bridge.events import Cancel, OnEvent
from soundlasso.bridge.presets.mastering import Master
from soundlasso.bridge.presets.preset import MIX, REST, Preset
from soundlasso.bridge.presets.tracks import PresetTracks, resampled_frames
from soundlasso.bridge.render_plan import (
    Existing,
    RenderPlan,
    RenderSettings,
    check_plan_space,
    check_plans,
    name_audio,
    place_beside,
)
from soundlasso.bridge.render_tracks import OpenTrack, Track

if TYPE_CHECKING:
    from soundlasso.bridge.render_result import RenderResult


def render_preset(
    path: str | os.PathLike[str],
    preset: Preset,
    out: str | os.PathLike[str] = "stems",
    *,
    start_s: float = 0.0,
    length_s: float | None = None,
    existing: Existing = "refuse",
    device: str = "cpu",
    progress: OnEvent | None = None,
    cancel: Cancel | None = None,
) -> "RenderResult":
    """Render an audio file to the files that a preset asks for.

    Parameters
    ----------
    path
        The mix.
    preset
        What to do with it.
    out, start_s, length_s, existing, device, progress, cancel
        As in `soundlasso.bridge.render.render`.

    Raises
    ------
    SoundlassoError
        As `soundlasso.bridge.render.render`.
    """
    from soundlasso.bridge.render_work import run_plan

    settings = settings_of(preset, start_s=start_s, length_s=length_s, existing=existing, device=device)
    plan = plan_preset(path, out, settings)
    check_plans([plan])
    check_plan_space([plan])
    return run_plan(plan, progress=progress, cancel=cancel)


def settings_of(
    preset: Preset,
    *,
    start_s: float = 0.0,
    length_s: float | None = None,
    existing: Existing = "refuse",
    device: str = "cpu",
) -> RenderSettings:
    """Return the settings of a render that does what a preset says."""
    return RenderSettings(
        model=preset.model,
        rest=preset.rest.is_written,
        start_s=start_s,
        length_s=length_s,
        format=preset.output.format,
        subtype=preset.output.subtype,
        name=preset.output.name,
        stereo=preset.stereo,
        consistent=preset.consistent,
        gate=preset.gate,
        plot=preset.output.pictures,
        sessions=preset.output.sessions,
        report=preset.output.report,
        existing=existing,
        device=device,
        preset=preset,
    )


def plan_preset(
    mix: str | os.PathLike[str], out: str | os.PathLike[str], settings: RenderSettings
) -> RenderPlan:
    """Plan the render of one mix by the preset in ``settings``; the rest as `plan_render`."""
    preset = settings.preset
    assert preset is not None, "plan_preset() without a preset"
    info = inspect_audio(mix)
    start, frames = region_frames(info, settings.start_s, settings.length_s)
    rate = preset.output.sample_rate or info.sample_rate
    stored = dataclasses.replace(info, sample_rate=rate)
    length = resampled_frames(frames, info.sample_rate, rate)
    named = _name_files(info.path, Path(out), preset, settings)
    manifest, picture = place_beside(info.path, Path(out), settings)
    return RenderPlan(
        mix=info,
        queries=tuple(stem.name for stem in preset.stems),
        settings=settings,
        start=start,
        frames=frames,
        output=choose_format(stored, length, format=settings.format, subtype=settings.subtype),
        stems=tuple(named.get(stem.name) for stem in preset.stems),
        rest=named.get(REST),
        mixdown=named.get(MIX),
        manifest=manifest,
        picture=picture,
    )


def _name_files(mix: Path, out: Path, preset: Preset, settings: RenderSettings) -> dict[str, Path]:
    """Name what will be written; rest and mix come first, to keep their names."""
    is_written = {REST: preset.rest.is_written, MIX: preset.mix.write}
    queries = {name: name for name, wanted in is_written.items() if wanted}
    queries |= {stem.name: ", ".join(stem.queries) for stem in preset.stems if stem.is_written}
    fields = [{"preset": preset.name, "stem": name, "query": query} for name, query in queries.items()]
    return dict(zip(queries, name_audio(mix, fields, out, settings), strict=True))


def open_preset_tracks(
    plan: RenderPlan, open_track: OpenTrack, unfinished: contextlib.ExitStack
) -> PresetTracks:
    """Open the files of a plan that was made by `plan_preset`."""
    preset = plan.settings.preset
    assert preset is not None
    tracks: dict[str, Track | Master] = {
        stem.name: open_track(", ".join(stem.queries), path, stem.name)
        for stem, path in zip(preset.stems, plan.stems, strict=True)
    }
    tracks[REST] = open_track(None, plan.rest, REST)
    if plan.mixdown is not None:
        tracks[MIX] = track = open_track(None, plan.mixdown, MIX)
        target_lufs = preset.output.loudness_lufs
        if target_lufs is not None:
            tracks[MIX] = Master(track, plan.output, target_lufs, preset.output.true_peak_db, unfinished)
    spec = StreamSpec(plan.mix.sample_rate, plan.mix.channels, _MOST_SAMPLES)
    return PresetTracks(preset, spec, plan.output, tracks)


_MOST_SAMPLES = 8192  # of a block in a chain
