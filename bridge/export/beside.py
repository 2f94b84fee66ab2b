"""What a render leaves beside its audio: the time stamps, the sessions and the report of a plan."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from soundlasso.bridge.audiofile import AudioReader
from soundlasso.bridge.audiofile_format import OutputFormat
from soundlasso.bridge.audiofile_write import write_whole
from soundlasso.bridge.export.ardour import LEAST_RATE_HZ
from soundlasso.bridge.export.bext import MOST_TIME_REFERENCE, Broadcast
from soundlasso.bridge.export.page import Sound, clock, make_page
from soundlasso.bridge.export.session import (
    ORIGINAL_COLOUR,
    REST_COLOUR,
    Marker,
    Session,
    Track,
    plain_text,
    stem_colour,
)
from soundlasso.bridge.export.source_notes import SourceNotes
from soundlasso.dsp.loudness import LoudnessMeter
from soundlasso.dsp.metrics import level_db

if TYPE_CHECKING:
    from soundlasso.bridge.presets.preset import Preset
    from soundlasso.bridge.render_plan import RenderPlan
    from soundlasso.bridge.render_result import RenderResult, StemResult

_MOST_POINTS = 3600  # of a presence curve: one each 0.1 s of six minutes
_DEFAULTS_NOT_SHOWN = ("existing", "device", "plot", "report", "sessions", "preset", "model", "name")


def make_broadcast(plan: "RenderPlan", notes: SourceNotes, what: str) -> Broadcast:
    """Return what the time stamp of one file of a plan says, but for its loudness.

    The input's own time, identity and history are kept; a line is added to the history.
    """
    source = notes.broadcast or Broadcast(originator="")
    return dataclasses.replace(
        source,
        description=what,
        originator="soundlasso",
        time_reference_samples=_began(plan, notes.time_reference_samples),
        umid=b"",  # it names the input's very content
        history=source.history + _history(plan.output),
    )


def _began(plan: "RenderPlan", time_reference_samples: int) -> int:
    """Return when a plan's files begin; an input's time that leaves no room, such as all ones, is none."""
    began = _at_output_rate(plan, time_reference_samples + plan.start)
    return began if began <= MOST_TIME_REFERENCE else _at_output_rate(plan, plan.start)


def _history(output: OutputFormat) -> str:
    """Return a line as EBU R 98 has it: coding, rate, word length, channels, and the program."""
    mode = {1: "mono", 2: "stereo"}.get(output.channels, "multitrack")
    program = f"soundlasso {version('soundlasso')}"
    return f"A=PCM,F={output.sample_rate},W={output.bits or 32},M={mode},T={program}\r\n"


def _at_output_rate(plan: "RenderPlan", samples: int) -> int:
    return round(Fraction(samples * plan.output.sample_rate, plan.mix.sample_rate))


def make_session(plan: "RenderPlan", result: "RenderResult", notes: SourceNotes) -> Session:
    """Return the session of a finished render: stems and rest in a group, the original muted beside them.

    The timeline begins where the original does; a region lies in its place there. An original of another
    rate than the stems is left out, as not every DAW would convert it.
    """
    start = _at_output_rate(plan, plan.start)
    tracks = [
        Track(
            name, path, plan.output.channels, plan.output.frames, start, colour, muted=part is result.mixdown
        )
        for part, name, path, colour in _written(result)
    ]
    if plan.output.sample_rate == plan.mix.sample_rate:
        mix = plan.mix
        tracks.append(Track(mix.path.stem, mix.path, mix.channels, mix.frames, muted=True, grouped=False))
    markers = tuple(Marker(mark.name, _at_output_rate(plan, mark.position_samples)) for mark in notes.markers)
    return Session(
        plan.mix.path.stem,
        plan.output.sample_rate,
        tuple(tracks),
        markers,
        notes.tempo_bpm,
        notes.beats_per_bar,
        notes.beat_unit,
        _at_output_rate(plan, notes.time_reference_samples),
    )


def _written(result: "RenderResult") -> Iterator[tuple["StemResult", str, Path, str]]:
    for part in result.parts:
        if part.path is None:
            continue
        name = part.name or part.query or "rest"
        is_stem = part is not result.rest and part is not result.mixdown
        yield part, name, part.path, stem_colour(f"{name} {part.query or ''}") if is_stem else REST_COLOUR


class PresenceCurves:
    """How surely each stem is there, over time, while it is separated."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[np.float32]] = []

    def take(self, presence: npt.NDArray[np.floating]) -> None:
        """Note the presence of further frames.  Shape: ``(stems, frames)``."""
        self._parts.append(presence.astype(np.float32))

    def end(self, seconds: float, frame_rate: float) -> None:
        """Leave out the frames of the silence after the mix.

        Parameters
        ----------
        seconds
            How long the mix is.
        frame_rate
            How often there is a frame, in Hz.
        """
        frames = np.concatenate(self._parts, axis=1)
        self._parts = [frames[:, : max(1, math.ceil(seconds * frame_rate))]]

    def means(self) -> tuple[float, ...]:
        """Return how surely each stem was there on the whole, 0 to 1."""
        (frames,) = self._parts
        return tuple(float(row.mean()) if len(row) else 0.0 for row in frames)

    def curves(self) -> tuple[tuple[float, ...], ...]:
        """Return each stem's values at even steps from start to end of the mix, 3600 at most."""
        (frames,) = self._parts
        n_frames = frames.shape[1]
        at = np.linspace(0, max(n_frames - 1, 0), min(_MOST_POINTS, n_frames))
        return tuple(
            tuple(round(float(y), 4) for y in np.interp(at, np.arange(n_frames), row)) for row in frames
        )


def session_notes(plan: "RenderPlan") -> tuple[str, ...]:
    """Return what the user should know of the sessions of a plan."""
    rate = plan.output.sample_rate
    if "ardour" not in plan.sessions or rate >= LEAST_RATE_HZ:
        return ()
    return (
        f"Ardour may play nothing of a session at {rate} Hz with the playback buffer that it comes with; "
        f"set it to 20 s in Ardour, or render at {LEAST_RATE_HZ} Hz or more",
    )


def write_report(plan: "RenderPlan", result: "RenderResult", path: Path) -> None:
    """Write the page of a finished render, whole or not at all.

    Raises
    ------
    AudioFileError
        A file cannot be read, or the page not written.
    """
    region = f", from {clock(plan.start / plan.mix.sample_rate)}" if plan.start else ""
    page = make_page(
        plan.mix.path.name,
        sounds_of(result),
        _facts(plan, result),
        start_s=result.start_s,
        note=f"{clock(result.seconds)} long{region}, separated by {result.model}",
    )
    write_whole(path, page.encode(errors="xmlcharrefreplace"))


def sounds_of(result: "RenderResult") -> list[Sound]:
    """Return what there is to hear of a result: what was rendered of the mix, then every file."""
    sounds = [_mix_sound(result.mix, result.start_s, result.seconds)]
    curves = dict(zip((id(stem) for stem in result.stems), result.presence_curves, strict=False))
    for part, name, path, colour in _written(result):
        sounds.append(_sound(name, path, colour, _figures(part), curves.get(id(part), ())))
    return sounds


def _mix_sound(path: Path, start_s: float, length_s: float) -> Sound:
    with AudioReader(path, start_s=start_s, length_s=length_s) as reader:
        meter = LoudnessMeter(reader.info.sample_rate, reader.info.channels)
        peak = 0.0
        for block in reader.blocks():
            meter.process(block)
            peak = max(peak, float(np.abs(block).max()))
    figures = _levels(level_db(peak), meter.integrated_lufs)
    return _sound(path.name, path, ORIGINAL_COLOUR, figures, (), start_s, length_s)


def _sound(
    name: str,
    path: Path,
    colour: str,
    figures: dict[str, str],
    presence: tuple[float, ...],
    start_s: float = 0.0,
    length_s: float | None = None,
) -> Sound:
    def blocks() -> Iterable[npt.NDArray[np.float32]]:
        with AudioReader(path, start_s=start_s, length_s=length_s) as reader:
            yield from reader.blocks()

    with AudioReader(path, start_s=start_s, length_s=length_s) as reader:
        info, frames = reader.info, reader.frames
    return Sound(name, blocks, info.channels, frames, info.sample_rate, colour, figures, presence)


def _figures(part: "StemResult") -> dict[str, str]:
    figures = _levels(part.peak_db, part.loudness_lufs)
    if part.presence is not None:
        figures["presence"] = f"{part.presence:.0%}"
    if part.query is not None and part.name is not None:
        figures["query"] = part.query
    if part.clipped_samples:
        figures["clipped"] = f"{part.clipped_samples} samples"
    return figures


def _levels(peak_db: float, loudness_lufs: float) -> dict[str, str]:
    return {"peak": _level(peak_db, "dBFS"), "loudness": _level(loudness_lufs, "LUFS")}


def _level(level: float, unit: str) -> str:
    return f"{level:.1f} {unit}".replace("-", "\u2212") if math.isfinite(level) else f"\u2212\u221e {unit}"


def _facts(plan: "RenderPlan", result: "RenderResult") -> dict[str, str]:
    facts = {
        "Mix": f"{plan.mix.path.name}: {plan.mix.sample_rate} Hz, {plan.mix.channels} channels",
        "Model": result.model,
        "Preset": plan.settings.preset.name if plan.settings.preset else "",
        "Files": f"{plan.output.container} {plan.output.subtype}, {plan.output.sample_rate} Hz",
        "Stems and rest against the mix": _null(result.null_db),
        "Time to render": f"{result.realtime_factor:.3f} of real time",
        **{name: _shown(value) for name, value in _changed_settings(plan).items()},
        **(_preset_facts(plan.settings.preset) if plan.settings.preset else {}),
        "Notes": "; ".join(result.warnings),
        "Made by": f"soundlasso {version('soundlasso')}",
    }
    return {name: plain_text(value) for name, value in facts.items() if value}


def _preset_facts(preset: "Preset") -> dict[str, str]:
    """Say what a preset does with each sound, and with the mix, as its file has it."""
    from soundlasso.bridge.presets.reading import to_table

    parts: dict[str, Any] = {f"Stem {stem.name!r}": stem for stem in preset.stems}
    parts |= {"Rest in the mix": preset.rest, "Whole mix": preset.mix, "Output": preset.output}
    return {name: _said(to_table(part)) for name, part in parts.items()}


def _said(table: dict[str, Any]) -> str:
    """Write settings in a line; an item of a chain begins with its effect."""
    words = []
    for key, value in table.items():
        if key == "chain":
            links = (", ".join(f"{k} {_shown(v)}" for k, v in link.items()) for link in value)
            words.append("through " + " \u2192 ".join(links))
        else:
            words.append(f"{key} {_shown(value)}")
    return "; ".join(words)


def _null(null_db: float | None) -> str:
    if null_db is None:
        return ""
    return "equal" if null_db == -math.inf else f"differ by {_level(null_db, 'dBFS')} at most"


def _changed_settings(plan: "RenderPlan") -> dict[str, Any]:
    settings = plan.settings
    fields = (field for field in dataclasses.fields(settings) if field.name not in _DEFAULTS_NOT_SHOWN)
    return {
        _label(field.name): value
        for field in fields
        if (value := getattr(settings, field.name)) != field.default
    }


def _label(setting: str) -> str:
    name = setting.removesuffix("_s")
    return name.replace("_", " ").capitalize() + ("" if name == setting else ", seconds")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
