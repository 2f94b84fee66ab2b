"""Bundles that are to take effect later wait on the event loop's clock; the receive loop never does."""

import asyncio
import time
from collections.abc import Callable

from soundlasso.bridge.osc.errors import OscError

MAX_AHEAD_S = 60.0
MAX_WAITING = 4096
MAX_WAITING_BYTES = 1 << 24


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
        self._bytes = 0

    def __len__(self) -> int:
        """Count what waits."""
        return len(self._waiting)

    def at(self, due_s: float | None, action: Callable[[], None], size: int = 0) -> None:
        """Run `action` at a Unix time; at once if that is past or None. It keeps `size` bytes until then.

        Raises
        ------
        OscError
            With code ``too_far`` if it is more than `MAX_AHEAD_S` ahead,
            ``queue_full`` if `MAX_WAITING` wait already, or `MAX_WAITING_BYTES`.
        """
        ahead_s = 0.0 if due_s is None else due_s - self._wall_clock()
        if ahead_s <= 0:
            return action()
        if ahead_s > MAX_AHEAD_S:
            raise OscError("too_far", f"time tag {ahead_s:.1f} s ahead; the most is {MAX_AHEAD_S:g} s")
        if len(self._waiting) >= MAX_WAITING:
            raise OscError("queue_full", f"{MAX_WAITING} bundles are waiting already")
        if self._bytes + size > MAX_WAITING_BYTES:
            raise OscError("queue_full", f"bundles of {self._bytes} bytes are waiting already")
        self._wait(ahead_s, action, size)

    def _wait(self, ahead_s: float, action: Callable[[], None], size: int) -> None:
        def run() -> None:
            self._waiting.discard(handle)
            self._bytes -= size
            action()

        self._bytes += size
        handle = asyncio.get_running_loop().call_later(ahead_s, run)
        self._waiting.add(handle)

    def clear(self) -> int:
        """Drop all that waits; return how many."""
        dropped = len(self._waiting)
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()
        self._bytes = 0
        return dropped
