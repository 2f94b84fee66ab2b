"""Rate limits and waiting bundles are bounded, for one peer and for all; time here is a number."""

import asyncio
import itertools

import pytest

from soundlasso.bridge.osc import bundles, limits
from soundlasso.bridge.osc.bundles import MAX_AHEAD_S, Schedule
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.limits import RateLimit


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_permits_come_back_with_time_and_are_not_hoarded() -> None:
    clock = Clock()
    limit = RateLimit(10, clock)
    assert sum(limit.allows("a") for _ in range(50)) == 10
    assert limit.allows("b")  # each has its own
    clock.now_s = 0.25
    assert sum(limit.allows("a") for _ in range(50)) == 2
    clock.now_s = 1000.0
    assert sum(limit.allows("a") for _ in range(50)) == 10


def test_a_permit_that_costs_more_is_owed() -> None:
    clock = Clock()
    limit = RateLimit(10, clock)
    assert limit.allows("a", 25)
    clock.now_s = 1.5
    assert not limit.allows("a")
    clock.now_s = 1.7
    assert limit.allows("a")


def test_forged_names_take_no_more_and_no_more_memory() -> None:
    limit = RateLimit(1, Clock())
    for i in range(3 * limits.MAX_REMEMBERED):
        limit.allows(f"udp 192.0.2.1 {i}")
    assert len(limit._buckets) == limits.MAX_REMEMBERED


def scheduled(due_s: float | None, times: int = 1) -> tuple[list[int], Schedule]:
    """Schedule calls at a Unix time, 100 being now, and let the loop turn."""
    done: list[int] = []

    async def story() -> Schedule:
        schedule = Schedule(lambda: 100.0)
        for i in range(times):
            schedule.at(due_s, lambda i=i: done.append(i))  # type: ignore[misc]
        await asyncio.sleep(0.05)
        return schedule

    return done, asyncio.run(story())


def test_what_is_due_together_is_done_as_it_came() -> None:
    done: list[int] = []

    async def story() -> None:
        readings_s = itertools.cycle([100.0, 100.003, 99.998])  # a busy machine reads its clocks late
        schedule = Schedule(lambda: next(readings_s))
        for i in range(60):
            schedule.at(100.01, lambda i=i: done.append(i))  # type: ignore[misc]
        schedule.at(100.0099, lambda: done.append(-1))
        await asyncio.sleep(0.05)

    asyncio.run(story())
    assert done == [-1, *range(60)]


def test_what_is_late_does_not_overtake_what_waits() -> None:
    done: list[str] = []
    clock = Clock()

    async def story() -> None:
        schedule = Schedule(clock)
        schedule.at(0.01, lambda: done.append("first"))
        clock.now_s = 0.02  # and the loop has not turned
        schedule.at(0.01, lambda: done.append("second"))
        schedule.at(0.005, lambda: done.append("earlier"))
        await asyncio.sleep(0.05)

    asyncio.run(story())
    assert done == ["earlier", "first", "second"]


def test_a_bundle_in_a_bundle_is_done_with_it() -> None:
    done: list[str] = []
    clock = Clock()

    async def story() -> None:
        schedule = Schedule(clock)

        def outer() -> None:
            clock.now_s = 0.01
            schedule.at(0.01, lambda: done.append("inner"))
            done.append("outer")

        schedule.at(0.01, outer)
        schedule.at(0.01, lambda: done.append("next"))
        await asyncio.sleep(0.05)

    asyncio.run(story())
    assert done == ["inner", "outer", "next"]


@pytest.mark.parametrize("due_s", [None, 0.0, 99.9, 100.0])
def test_what_is_due_is_done_at_once(due_s: float | None) -> None:
    done, schedule = scheduled(due_s)
    assert (done, len(schedule)) == ([0], 0)


def test_what_comes_soon_is_done_then() -> None:
    done, schedule = scheduled(100.01)
    assert (done, len(schedule)) == ([0], 0)


def test_what_comes_later_waits() -> None:
    done, schedule = scheduled(100.0 + MAX_AHEAD_S)
    assert (done, len(schedule)) == ([], 1)


def test_what_is_farther_is_refused() -> None:
    with pytest.raises(OscError) as refusal:
        scheduled(100.1 + MAX_AHEAD_S)
    assert refusal.value.code == "too_far"


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MAX_WAITING", 8)
    assert len(scheduled(130.0, 8)[1]) == 8
    with pytest.raises(OscError) as refusal:
        scheduled(130.0, 9)
    assert refusal.value.code == "queue_full"


def test_bytes_that_wait_are_bounded_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MAX_WAITING_BYTES", 100)

    async def story() -> None:
        schedule = Schedule(lambda: 100.0)
        for _ in range(3):
            schedule.at(100.02, lambda: None, 30)
        with pytest.raises(OscError, match="bundles of 90 bytes are waiting"):
            schedule.at(130.0, lambda: None, 30)
        schedule.at(None, lambda: None, 1000)  # which does not wait
        await asyncio.sleep(0.1)
        schedule.at(130.0, lambda: None, 100)
        schedule.clear()
        schedule.at(130.0, lambda: None, 100)

    asyncio.run(story())


def test_what_is_dropped_is_never_done() -> None:
    done: list[int] = []

    async def story() -> int:
        schedule = Schedule(lambda: 100.0)
        for _ in range(3):
            schedule.at(100.02, lambda: done.append(1))
        dropped = schedule.clear()
        await asyncio.sleep(0.1)
        return dropped + len(schedule)

    assert asyncio.run(story()) == 3
    assert done == []
