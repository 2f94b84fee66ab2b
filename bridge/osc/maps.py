"""Addresses of others that stand for ours: a fader that can only send `/1/fader1` moves a slot."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from soundlasso.bridge.osc.address import is_pattern
from soundlasso.bridge.osc.errors import OscError

if TYPE_CHECKING:
    from soundlasso.bridge.osc.dispatch import Tree

DAW, CHAIN = "/lasso/daw/", "/lasso/chain/"


class Maps:
    """What stands for what, both ways.

    Parameters
    ----------
    wanted
        Addresses of others, and the one of ours that each stands for.
    tree
        The addresses that there are.

    Raises
    ------
    OscError
        With code ``bad_args`` for one of others that is ours or none, ``unknown_address`` for one of ours
        that is not there.
    """

    def __init__(self, wanted: Mapping[str, str], tree: "Tree") -> None:
        for theirs, ours in wanted.items():
            _check(theirs, ours, tree)
        self._ours = dict(wanted)
        self._theirs: dict[str, list[str]] = {}
        for theirs, ours in wanted.items():
            self._theirs.setdefault(ours, []).append(theirs)

    def meant(self, address: str) -> list[str]:
        """Return the addresses of ours that one means; what a DAW tells is kept as well."""
        if address not in self._ours:
            return [address]
        return [self._ours[address], *([address] if address.startswith(DAW) else [])]

    def shown_at(self, address: str) -> list[str]:
        """Return the addresses of others at which one of ours is shown too."""
        return self._theirs.get(address, [])


def _check(theirs: str, ours: str, tree: "Tree") -> None:
    if not theirs.startswith("/") or is_pattern(theirs) or is_pattern(ours):
        raise OscError("bad_args", f"cannot map {theirs!r} to {ours!r}; an example is /1/fader1=/lasso/mix")
    if theirs.startswith("/lasso/") and not theirs.startswith(DAW):
        raise OscError("bad_args", f"cannot map {theirs!r}: it means something already")
    if ours.startswith(DAW):
        raise OscError("bad_args", f"cannot map to {ours!r}: nothing comes of what is kept there")
    if not ours.startswith(CHAIN):  # which may be added later
        tree.find(ours)
