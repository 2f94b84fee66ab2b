"""The commands that render: what to render, with which settings, and what became of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.osc import parameters
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.jobs import Job
from soundlasso.bridge.osc.state import Settings
from soundlasso.bridge.osc.timeline import changes_of
from soundlasso.dsp.gate import USUAL_THRESHOLD

if TYPE_CHECKING:
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.server import Server


def set_input(server: "Server", call: "Call") -> None:
    """Answer with the file to render, or set it."""
    _set_path(server, call, lambda text: server.jail.audio_file(text))


def set_output(server: "Server", call: "Call") -> None:
    """Answer with the folder for the stems, or set it."""
    _set_path(server, call, lambda text: server.jail.folder(text))


def _set_path(server: "Server", call: "Call", check: Any) -> None:
    key = call.row.key
    if call.args is None:
        return call.answer(call.address, server.state.get(key, None))
    (text,) = call.args
    path = str(check(text)) if text else ""
    server.state.set(key, None, path)
    call.done(path)
    parameters.tell(server, key, None, by=call.request.peer)


def render(server: "Server", call: "Call") -> None:
    """Start a render; its job is told about until it ends."""
    path, query, name = call.given
    job = server.jobs.live(name)
    if job:
        return call.answer("/lasso/job/state", job.name, job.state)
    try:
        submit(server, call, path, query, name)
    except OscError as error:
        error.ids = (name,) if name else ()
        raise


def submit(
    server: "Server", call: "Call", path: str | None, query: str | None = None, name: str | None = None
) -> None:
    """Put a render into the queue.

    Raises
    ------
    OscError
        There is nothing to render, a path leads out of the root, or the queue is full.
    """
    settings = server.state.settings
    if not (path or settings.input):
        raise OscError("no_input", "no file given, and none set with /lasso/input")
    mix = server.jail.audio_file(path or settings.input)
    slots, queries = _asked(server, query)
    thresholds = [server.state.slots[number].threshold for number in slots if number in server.state.slots]
    render_settings = _render_settings(settings, _is_removal(server, slots)) | {
        "gate_threshold": thresholds or USUAL_THRESHOLD,
        "changes": changes_of(server.planned, slots),
    }
    server.jobs.submit(
        Job(
            name or server.jobs.new_name(),
            call.request,
            call.address,
            mix,
            server.jail.folder(settings.output or str(mix.parent / "stems")),
            queries,
            slots,
            render_settings,
        )
    )
    server.planned.clear()


def _asked(server: "Server", query: str | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return slots and queries to render: the one that was given (slot 1), or those of the enabled slots."""
    if query:
        return (1,), (query,)
    asked = server.state.enabled()
    if not asked:
        raise OscError("no_input", "no query given, and no enabled slot has one; set /lasso/query")
    return tuple(number for number, _ in asked), tuple(slot.query for _, slot in asked)


def _is_removal(server: "Server", numbers: Sequence[int]) -> bool:
    """Whether all that is named is to go; stems and removals in one render would be two different sums."""
    modes = {slot.mode for number, slot in server.state.slots.items() if number in numbers}
    if len(modes) > 1:
        raise OscError("bad_args", "some slots keep and some remove; enable one kind at a time to render")
    return modes == {"remove"}


def _render_settings(settings: Settings, is_removal: bool) -> dict[str, Any]:
    return {
        "rest": bool(settings.rest) or is_removal,
        "remove": is_removal,
        "start_s": 0.0,
        "format": settings.format,
        "existing": settings.existing,
        "stereo": settings.stereo,
        "consistent": bool(settings.consistent),
        "avoid": settings.avoided(),
        "gate": bool(settings.gate),
    }


def job_state(server: "Server", call: "Call") -> None:
    """Answer with the state of one job."""
    job = server.jobs.find(call.given[0])
    call.answer(call.address, job.name, job.state)


def list_jobs(server: "Server", call: "Call") -> None:
    """Answer with the jobs, oldest first."""
    items = [("/lasso/job/item", job.name, job.state, job.progress) for job in server.jobs.all()]
    server.answer_many(call, [*items, ("/lasso/job/end", len(items))])


def cancel_job(server: "Server", call: "Call") -> None:
    """Cancel one job, or all with `*`."""
    call.done(*server.jobs.cancel(call.given[0]))
