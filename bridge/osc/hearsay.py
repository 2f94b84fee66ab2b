"""What a DAW tells of itself under `/lasso/daw/`: anything is taken, kept and passed on, nothing is refused.

A REAPER pattern file, a Bitwig script or a TouchOSC page may send the place of the playhead, names of regions
or tracks there; who listens hears them, who asks without an argument is told.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.osc.clients import Topic

if TYPE_CHECKING:
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.server import Server

MAX_KEPT = 1024
MAX_ARGS = 16
MAX_CHARS = 512  # of each text; the rest is cut


class Hearsay:
    """The newest arguments of each address; the oldest address gives way."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, list[Any]] = OrderedDict()

    def keep(self, address: str, args: Sequence[Any]) -> list[Any]:
        """Keep what can be sent on: numbers and texts."""
        told: list[Any] = [value for value in args if isinstance(value, int | float | str)][:MAX_ARGS]
        told = [value[:MAX_CHARS] if isinstance(value, str) else value for value in told]
        self._kept.pop(address, None)
        self._kept[address] = told
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return told

    def get(self, address: str) -> list[Any]:
        """Return what was told last, nothing if that was never."""
        return self._kept.get(address, [])


def take_note(server: "Server", call: "Call") -> None:
    """Keep what is told and pass it on, or answer with what was told last."""
    if not call.given:
        return call.answer(call.address, *server.hearsay.get(call.address))
    told = server.hearsay.keep(call.address, call.given)
    server.publish(call.address, told, Topic.PARAMETERS, by=call.request.peer)
