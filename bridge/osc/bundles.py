"""Bundles that are to take effect later wait on the event loop's clock; the receive loop never does."""

import asyncio
import time
from collections.abc import Callable

from soundlasso.bridge.osc.errors import OscError

MAX_AHEAD_S = 60.0
MAX_WAITING = 4096


class Schedule:
    """Calls that wait for their time.

    The wall clock is read once, when a call arrives; a clock that is set later moves nothing that waits.

    Parameters
    ----------
    wall_clock
        Gives Unix time.
    """

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._waiting: set[asyncio.TimerHandle] = set()

    def __len__(self) -> int:
        """Count what waits."""
        return len(self._waiting)

    def at(self, due_s: float | None, action: Callable[[], None]) -> None:
        """Run `action` at a Unix time; at once if that is past or None.

        Raises
        ------
        OscError
            With code ``too_far`` if it is more than `MAX_AHEAD_S` ahead,
            ``queue_full`` if `MAX_WAITING` wait already.
        """
        ahead_s = 0.0 if due_s is None else due_s - self._wall_clock()
        if ahead_s <= 0:
            return action()
        if ahead_s > MAX_AHEAD_S:
            raise OscError("too_far", f"time tag {ahead_s:.1f} s ahead; the most is {MAX_AHEAD_S:g} s")
        if len(self._waiting) >= MAX_WAITING:
            raise OscError("queue_full", f"{MAX_WAITING} bundles are waiting already")
        self._wait(ahead_s, action)

    def _wait(self, ahead_s: float, action: Callable[[], None]) -> None:
        def run() -> None:
            self._waiting.discard(handle)
            action()

        handle = asyncio.get_running_loop().call_later(ahead_s, run)
        self._waiting.add(handle)

    def clear(self) -> int:
        """Drop all that waits; return how many."""
        dropped = len(self._waiting)
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()
        return dropped
