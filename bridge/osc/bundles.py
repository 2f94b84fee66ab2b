"""Bundles that are to take effect later wait on the event loop's clock; the receive loop never does."""

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from soundlasso.bridge.osc.errors import OscError

MAX_AHEAD_S = 60.0
MAX_WAITING = 4096
MAX_WAITING_BYTES = 1 << 24


@dataclass(order=True, slots=True)
class _Waiting:
    """A call that waits: for which Unix time, as which to come, and until when on the loop's clock."""

    due_s: float
    serial: int
    loop_s: float = field(compare=False)
    action: Callable[[], None] = field(compare=False)
    size: int = field(compare=False)


class Schedule:
    """Calls that wait for their time, made in the order of their times, those of one time as they came.

    The wall clock is read once, when a call arrives. A clock that is set later does not move what waits,
    unless behind a call that then comes for an earlier time.

    Parameters
    ----------
    wall_clock
        Gives Unix time.
    """

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._waiting: list[_Waiting] = []  # a heap
        self._bytes = 0
        self._serials = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._reached_s = -math.inf  # the time of the call that is being made

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
        if due_s is None or (ahead_s <= 0 and self._is_next(due_s)):
            return action()
        if ahead_s > MAX_AHEAD_S:
            raise OscError("too_far", f"time tag {ahead_s:.1f} s ahead; the most is {MAX_AHEAD_S:g} s")
        if len(self._waiting) >= MAX_WAITING:
            raise OscError("queue_full", f"{MAX_WAITING} bundles are waiting already")
        if self._bytes + size > MAX_WAITING_BYTES:
            raise OscError("queue_full", f"bundles of {self._bytes} bytes are waiting already")
        loop_s = asyncio.get_running_loop().time() + ahead_s
        heapq.heappush(self._waiting, _Waiting(due_s, next(self._serials), loop_s, action, size))
        self._bytes += size
        self._set_timer()

    def clear(self) -> int:
        """Drop all that waits; return how many."""
        dropped = len(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        self._set_timer()
        return dropped

    def _is_next(self, due_s: float) -> bool:
        """Whether nothing that waits comes first; a bundle in the one that is being applied is part of it."""
        return due_s <= self._reached_s or not self._waiting or due_s < self._waiting[0].due_s

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_at(self._waiting[0].loop_s, self._run_first)

    def _run_first(self) -> None:
        first = heapq.heappop(self._waiting)
        self._bytes -= first.size
        self._set_timer()
        self._reached_s = first.due_s
        try:
            first.action()
        finally:
            self._reached_s = -math.inf
