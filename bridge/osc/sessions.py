"""Write DAW sessions of what has been rendered: stems in their places, the recording muted beside them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.jail import Jail

if TYPE_CHECKING:
    from soundlasso.bridge.export.session import Session, SessionKind
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.jobs import Job
    from soundlasso.bridge.osc.server import Server


def export(server: "Server", call: "Call") -> None:
    """Write a session of a job."""
    kind, name = call.given
    job = _job(server, name)
    server.in_background(call, _export(server, call, kind, job))


def _job(server: "Server", name: str | None) -> "Job":
    """Return the job of a name, or the last one, that is done."""
    if name:
        job = server.jobs.find(name)
        if job.state != "done":
            raise OscError("no_input", f"job {name!r} is {job.state}; a session takes one that is done")
        return job
    done = [job for job in server.jobs.all() if job.state == "done"]
    if not done:
        raise OscError("no_input", "nothing has been rendered yet; /lasso/render first")
    return done[-1]


async def _export(server: "Server", call: "Call", kind: "SessionKind", job: "Job") -> None:
    names = {slot.query: slot.label for slot in server.state.slots.values()}
    overwrite = server.state.settings.existing == "overwrite"
    path = await asyncio.to_thread(write_job, kind, job, server.jail, overwrite, names)
    call.done(kind, str(path))


def write_job(
    kind: "SessionKind",
    job: "Job",
    jail: Jail,
    overwrite: bool,
    names: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write a session beside the stems of a job; return its path.

    `names` tells what to call the tracks of queries that have another name.

    Raises
    ------
    OscError
        With code ``exists`` when one is there, ``bad_path`` when its folder leads out of the jail.
    SoundlassoError
        It cannot be written.
    """
    from soundlasso.bridge.export.session import session_path, write_session

    path = session_path(kind, job.out, job.path.stem)
    jail.folder(str(path.parent))  # since the render, it may have become a link
    if path.exists() and not overwrite:
        raise OscError("exists", f"{str(path)!r} is there already; /lasso/existing overwrite replaces it")
    write_session(session_of(job, names), kind, path)
    return path


def session_of(job: "Job", names: Mapping[str, str] = MappingProxyType({})) -> "Session":
    """Describe what a DAW shows of a job."""
    from soundlasso.bridge.audiofile import inspect_audio
    from soundlasso.bridge.export.session import REST_COLOUR, Session, Track, stem_colour

    stems = [(names.get(stem["query"], stem["query"]), stem) for stem in job.result["stems"]]
    files = [(name, stem["path"], stem_colour(f"{name} {stem['query']}")) for name, stem in stems]
    files.append(("rest", job.result["rest"], REST_COLOUR))
    tracks: list[Track] = []
    for name, path, colour in files:
        if path is not None:
            info = inspect_audio(path)
            tracks.append(Track(name, info.path, info.channels, info.frames, colour=colour))
    mix = inspect_audio(job.path)
    original = Track(job.path.stem, mix.path, mix.channels, mix.frames, muted=True, grouped=False)
    return Session(job.path.stem, mix.sample_rate, (original, *tracks))
