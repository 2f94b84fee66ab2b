"""Effects side by side: the same input through each branch, aligned and summed."""

from collections.abc import Iterable, Sequence

from soundlasso.bridge.container import Container, Line, Stage
from soundlasso.bridge.effect import Audio, Effect, StreamSpec, join


class AlignedSum:
    """Add up branches that are ready at different times.

    What `push` returns lines up with what it was given, so the first sample that waits is the same
    moment in every branch: alignment needs no delays, only patience.
    """

    def __init__(self, spec: StreamSpec, branches: Iterable[Effect]) -> None:
        self._spec = spec
        self._waiting = {branch: spec.zeros(0) for branch in branches}
        self._behind = 0

    def expect(self, samples: int) -> None:
        """Note how many samples the branches are given."""
        self._behind += samples

    def add(self, branch: Effect, ready: Audio) -> None:
        """Take what a branch has ready."""
        self._waiting[branch] = join([self._waiting[branch], ready])

    def take(self) -> Audio:
        """Return the sum as far as every branch is ready."""
        n = min((audio.shape[1] for audio in self._waiting.values()), default=self._behind)
        total = self._spec.zeros(n)
        for branch, audio in self._waiting.items():
            total += audio[:, :n]
            self._waiting[branch] = audio[:, n:]
        self._behind -= n
        return total

    def change(self, branches: Iterable[Effect]) -> None:
        """Go on with these branches; one that is new was silent so far."""
        silence = self._spec.zeros(self._behind)
        self._waiting = {branch: self._waiting.get(branch, silence) for branch in branches}


class Mix(Container):
    """Branches in parallel, as `pedalboard.Mix`, aligned in streams too, whatever their latencies.

    A branch is a native plugin, an effect, or a board.  A mix of nothing is silence, as in pedalboard.
    A branch put in while a stream runs joins at the next block; one taken out falls silent there.

    Examples
    --------
    >>> import numpy as np, pedalboard
    >>> Mix([pedalboard.Gain(0), pedalboard.Gain(0)])(np.ones(3, np.float32), 44100)
    array([2., 2., 2.], dtype=float32)
    """

    def _begin(self, spec: StreamSpec, line: Line) -> None:
        super()._begin(spec, line)
        self._sum = AlignedSum(spec, line.members)

    def _stages(self, members: Sequence[Effect], spec: StreamSpec) -> tuple[Stage, ...]:
        return tuple(members)

    def _latency(self, members: Sequence[Effect]) -> int:
        return max((member.latency_samples for member in members), default=0)

    def _play(self, line: Line, samples: Audio) -> Audio:
        self._sum.expect(samples.shape[1])
        for member in line.members:
            self._sum.add(member, member.push(samples))
        return self._sum.take()

    def _drain(self, line: Line, samples: Audio) -> Audio:
        for member in line.members:
            self._sum.add(member, join([member.push(samples), member.drain()]))
        return self._sum.take()

    def _switch(self, old: Line, new: Line) -> Audio:
        assert self._spec is not None
        for member in old.members:
            if member not in new.members:
                member.drain()
        self._sum.change(new.members)
        return self._spec.zeros(0)

    def _render(self, members: Sequence[Effect], samples: Audio, spec: StreamSpec) -> Audio:
        total = spec.zeros(samples.shape[1])
        for member in members:
            total += member.render(samples, spec)
        return total
