"""Name sounds, get their stems as files: from disk to disk, in the memory of a few blocks."""

import os
from collections.abc import Sequence
from typing import Literal

from soundlasso.bridge.automation import Change
from soundlasso.bridge.events import Cancel, OnEvent
from soundlasso.bridge.export.session import SessionKind
from soundlasso.bridge.naming import DEFAULT_TEMPLATE
from soundlasso.bridge.render_plan import (
    Existing,
    RenderSettings,
    check_plan_space,
    check_plans,
    plan_render,
)
from soundlasso.bridge.render_result import RenderResult
from soundlasso.bridge.render_work import run_plan
from soundlasso.dsp.gate import USUAL_THRESHOLD


def render(
    path: str | os.PathLike[str],
    queries: Sequence[str] | str,
    out: str | os.PathLike[str],
    *,
    model: str = "lariat",
    rest: bool = True,
    remove: bool = False,
    start_s: float = 0.0,
    length_s: float | None = None,
    format: str = "wav",
    subtype: str | None = None,
    name: str = DEFAULT_TEMPLATE,
    stereo: Literal["linked", "independent"] = "linked",
    consistent: bool = False,
    avoid: Sequence[str] | str = (),
    gate: bool = True,
    gate_threshold: float | Sequence[float] = USUAL_THRESHOLD,
    changes: Sequence[Change] = (),
    plot: bool = False,
    sessions: Sequence[SessionKind] = (),
    report: bool = False,
    existing: Existing = "refuse",
    device: str = "cpu",
    progress: OnEvent | None = None,
    cancel: Cancel | None = None,
) -> RenderResult:
    """Separate an audio file into files, at its own rate, channels and length.

    All paths are checked before anything is computed. Each file appears whole or not at all, and if anything
    fails on the way, no new file stays.

    Parameters
    ----------
    path
        The mix: wav, flac, aiff, ogg, opus or mp3.
    queries
        What to pull out: one text or several.
    out
        The folder for the files; made if it is not there.
    model
        The model's name, or its weights file.
    rest
        Whether to write the mix without the stems, too.
    remove
        Write only the rest. Several queries then compete, as with ``consistent``, so that a sound which
        two of them name is not subtracted twice.
    start_s, length_s
        The region to render, in seconds; a length beyond the end is cut there.
    format
        ``"wav"``, ``"flac"`` or ``"ogg"``.
    subtype
        ``"FLOAT"``, ``"PCM_24"``, ``"PCM_16"`` or ``"same"`` as the input; None is FLOAT for wav and
        PCM_24 for flac.
    name
        How to name the files: fields ``{mix}``, ``{query}``, ``{model}``, ``{folder}``; ``/`` makes folders.
        ``{stem}`` and ``{preset}`` are for presets; without one they are the query and "no preset".
    stereo
        ``"linked"`` keeps the stereo image with one mask for all channels, ``"independent"`` has one each.
    consistent
        Let the stems compete, so that they share no energy.
    avoid
        Sounds that compete but give no stem.
    gate
        Whether a stem falls silent where its sound is not there.
    gate_threshold
        The presence, 0 to 1, above which that gate opens, one for all stems or one each; the lower, the
        more passes.
    changes
        What becomes another query or setting on the way, and when.
    plot
        Whether to draw spectrograms of mix, stems and rest; needs matplotlib.
    sessions
        What a DAW opens with all in its place: ``"dawproject"``, ``"rpp"`` (REAPER), ``"ardour"``.
    report
        Whether to write a page to hear and see it all in a browser; needs matplotlib.
    existing
        What to do when a file is there: ``"refuse"``, ``"overwrite"``, or ``"skip"`` the mix when it was
        rendered from the same input, queries, model and settings.
    device
        ``"cpu"``, ``"cuda"`` or ``"mps"``.
    progress
        Called with each `soundlasso.bridge.events.Event`.
    cancel
        Checked between blocks; a `threading.Event` will do.

    Returns
    -------
    RenderResult
        Paths, levels, presence, null depth and pace.

    Raises
    ------
    QueryError
        A query is no query.
    AudioFileError
        The mix cannot be read whole, or a file not written whole.
    ModelError
        The model is unknown or damaged.
    Cancelled
        ``cancel`` was set; nothing is left behind.
    SoundlassoError
        A setting is wrong, or a file is there already.
    """
    settings = RenderSettings(
        model=model,
        rest=rest,
        remove=remove,
        start_s=start_s,
        length_s=length_s,
        format=format,
        subtype=subtype,
        name=name,
        stereo=stereo,
        consistent=consistent,
        avoid=(avoid,) if isinstance(avoid, str) else tuple(avoid),
        gate=gate,
        gate_threshold=gate_threshold if isinstance(gate_threshold, (int, float)) else tuple(gate_threshold),
        changes=tuple(changes),
        plot=plot,
        sessions=tuple(sessions),
        report=report,
        existing=existing,
        device=device,
    )
    plan = plan_render(path, [queries] if isinstance(queries, str) else queries, out, settings)
    check_plans([plan])
    check_plan_space([plan])
    return run_plan(plan, progress=progress, cancel=cancel)
