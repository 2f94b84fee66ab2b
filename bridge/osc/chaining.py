"""The commands that build the chain of the live mix, and the rows of its parameters.

The rows are made when the chain is, so OSCQuery, patterns and subscriptions know them as all others.
"""

import asyncio
from typing import TYPE_CHECKING

from soundlasso.bridge.osc.chain import MAX_EFFECTS, Chain
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.row import Row, parameter

if TYPE_CHECKING:
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.server import Server
    from soundlasso.bridge.presets.chains import Link


def chain_rows(chain: Chain) -> list[Row]:
    """Make the rows of all that can be moved in a chain."""
    return [
        row
        for number, effect, name, arg in chain.controls()
        for row in parameter(
            f"/lasso/chain/{number}/param/{name}",
            f"{number}.{name}",
            arg,
            f"{name.replace('_', ' ')} of effect {number}, {effect}",
        )
    ]


def list_effects(server: "Server", call: "Call") -> None:
    """Answer with the effects of the chain, in order."""
    links = server.state.chain.links
    items = [("/lasso/chain/item", number, link.name) for number, link in enumerate(links, 1)]
    server.answer_many(call, [*items, ("/lasso/chain/end", len(items))])


def count_effects(server: "Server", call: "Call") -> None:
    """Answer with the number of effects."""
    call.answer(call.address, len(server.state.chain.links))


def add_effect(server: "Server", call: "Call") -> None:
    """Put an effect at the end of the chain; the first one loads pedalboard, so a thread makes it."""
    (name,) = call.given
    server.in_background(call, _add(server, call, name))


async def _add(server: "Server", call: "Call", name: str) -> None:
    link = await asyncio.to_thread(_link, name)
    chain = server.state.chain
    if len(chain.links) >= MAX_EFFECTS:
        raise OscError("queue_full", f"the chain has {MAX_EFFECTS} effects already")
    server.rechain(chain.with_effect(link))
    call.done(len(server.state.chain.links), link.name)


def _link(name: str) -> "Link":
    from soundlasso.bridge.presets.chains import EFFECT, Link, effects, parameters
    from soundlasso.bridge.presets.problems import nearest

    found = next((known for known in effects() if known.lower() == name.lower()), None)
    if found is None:
        raise OscError("not_found", f"no effect {name[:64]!r}; {nearest(name, effects())}")
    if None in parameters(found).values():
        raise OscError("bad_args", f"{found} cannot be made without a file; put it into a preset")
    return Link(EFFECT, found)


def remove_effect(server: "Server", call: "Call") -> None:
    """Take an effect out of the chain, after those that are being added."""
    (number,) = call.given
    server.in_background(call, _remove(server, call, number))


async def _remove(server: "Server", call: "Call", number: int) -> None:
    chain = server.state.chain
    if number > len(chain.links):
        raise OscError("not_found", f"no effect {number}; the chain has {len(chain.links)}")
    server.rechain(chain.without(number))
    call.done(number)
