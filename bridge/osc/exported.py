"""Render what Ardour exports, as soon as it is there.

Of every file that it has exported, Ardour tells UDP port 7770 of its own machine, whoever listens there:
`/session/exported path name`. With `serve --ardour-exports` we do, and the enabled slots are rendered of it.
Like every other file it has to lie in the root folder.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from soundlasso.bridge.osc import rendering
from soundlasso.bridge.osc.row import PATH, REST, command

if TYPE_CHECKING:
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.server import Server

ARDOUR_PORT = 7770  # Ardour has no setting for it


def render_export(server: "Server", call: "Call") -> None:
    """Render a file of Ardour's, of all enabled slots; what it is called beside its path does not matter."""
    rendering.submit(server, call, call.given[0])


ROW = replace(
    command(
        "/session/exported",
        [replace(PATH, joins=False), REST],
        render_export,
        "what Ardour tells of a file that it has exported: it is rendered, of all enabled slots",
    ),
    is_critical=True,
)
