"""Effects side by side: the same input through each branch, aligned and summed."""

from collections.abc import Sequence

from soundlasso.bridge.container import Container, Line, Stage
from soundlasso.bridge.effect import Audio, Effect, StreamSpec, join


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
        self._waiting = {id(member): spec.zeros(0) for member in line.members}
        self._behind = 0

    def _stages(self, members: Sequence[Effect], spec: StreamSpec) -> tuple[Stage, ...]:
        return tuple(members)

    def _latency(self, members: Sequence[Effect]) -> int:
        return max((member.latency_samples for member in members), default=0)

    def _play(self, line: Line, samples: Audio) -> Audio:
        self._behind += samples.shape[1]
        for member in line.members:
            self._wait(member, member.push(samples))
        return self._sum(line)

    def _wait(self, member: Effect, ready: Audio) -> None:
        self._waiting[id(member)] = join([self._waiting[id(member)], ready])

    def _sum(self, line: Line) -> Audio:
        """Add up what every branch has ready.

        `push` lines its output up with its input, so the first sample that waits is the same moment
        in every branch: alignment needs no delays.
        """
        assert self._spec is not None
        waiting = [self._waiting[id(member)] for member in line.members]
        ready = min((audio.shape[1] for audio in waiting), default=self._behind)
        total = self._spec.zeros(ready)
        for member, audio in zip(line.members, waiting, strict=True):
            total += audio[:, :ready]
            self._waiting[id(member)] = audio[:, ready:]
        self._behind -= ready
        return total

    def _drain(self, line: Line, samples: Audio) -> Audio:
        for member in line.members:
            self._wait(member, join([member.push(samples), member.drain()]))
        return self._sum(line)

    def _switch(self, old: Line, new: Line) -> Audio:
        assert self._spec is not None
        for member in old.members:
            if member not in new.members:
                member.drain()
                del self._waiting[id(member)]
        for member in new.members:
            self._waiting.setdefault(id(member), self._spec.zeros(self._behind))
        return self._spec.zeros(0)

    def _render(self, members: Sequence[Effect], samples: Audio, spec: StreamSpec) -> Audio:
        total = spec.zeros(samples.shape[1])
        for member in members:
            total += member.render(samples, spec)
        return total
