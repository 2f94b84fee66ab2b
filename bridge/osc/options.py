"""How a server is set up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from soundlasso.bridge.osc.clients import Topic
from soundlasso.bridge.osc.process import SILENCE_LIMIT_S
from soundlasso.bridge.osc.state import State

DEFAULT_PORT = 17770


@dataclass(frozen=True, slots=True)
class Notified:
    """A client that is told from the start, and need not ask: many a controller cannot."""

    host: str
    port: int
    topics: Topic = Topic.PARAMETERS | Topic.JOBS


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is set up; nothing that arrives can change it."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    root: Path = Path()
    model: str = "lariat"
    device: str = "cpu"
    allow: tuple[str, ...] = ()
    token: str = ""
    allow_quit: bool = False
    ignore_time_tags: bool = False
    live: str | None = None  # as `soundlasso.bridge.osc.live_source` reads it
    live_channels: int = 2
    live_record: Path | None = None
    state: State | None = None  # to begin with
    maps: Mapping[str, str] = field(default_factory=dict)  # address of a client -> address of the table
    notify: tuple[Notified, ...] = ()
    ardour_port: int | None = None  # where to be told of Ardour's exports, on this machine
    preload: bool = True  # the model, before the first render
    worker_silence_limit_s: float = SILENCE_LIMIT_S
