"""How often somebody may do something: one bucket of permits for each peer, refilled with time."""

import time
from collections import OrderedDict
from collections.abc import Callable

MAX_REMEMBERED = 1024


class RateLimit:
    """At most `per_s` permits a second for each name, and as many at once.

    Parameters
    ----------
    per_s
        Permits a second.
    clock
        Gives seconds; the default never goes back.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_s = per_s
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # permits left, and when

    def allows(self, name: str, cost: float = 1) -> bool:
        """Take some permits, if one is there; what is not there is owed, and has to come back first."""
        now_s = self._clock()
        left, since_s = self._buckets.pop(name, (self.per_s, now_s))
        left = min(self.per_s, left + (now_s - since_s) * self.per_s)
        allowed = left >= 1
        self._buckets[name] = (left - cost * allowed, now_s)
        if len(self._buckets) > MAX_REMEMBERED:
            self._buckets.popitem(last=False)
        return allowed
