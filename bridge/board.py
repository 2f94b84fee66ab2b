"""A chain of effects: pedalboard's native plugins and Python effects, in one board."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from soundlasso.bridge.container import Container, Line, Stage
from soundlasso.bridge.effect import Audio, Effect, StreamSpec, join
from soundlasso.bridge.native import Native, NativeRun, NativeWhole


class Board(Container):
    """Effects in a row, as `pedalboard.Pedalboard`, that also takes effects written in Python.

    Native neighbours run as one native board.  A board of native plugins only gives the very samples
    pedalboard gives.  Every effect gets its input in place, whatever the latency of those before it,
    so an effect that moves in time (a chorus) is the same in a stream and in a whole signal.

    Examples
    --------
    >>> import numpy as np, pedalboard
    >>> board = Board([pedalboard.Gain(6), None, Board([pedalboard.Invert()])])
    >>> board(np.ones((2, 4), np.float32), 44100).round(3)
    array([[-1.995, -1.995, -1.995, -1.995],
           [-1.995, -1.995, -1.995, -1.995]], dtype=float32)
    """

    _whole_of: Sequence[Effect] = ()
    _whole: Sequence[Effect | NativeWhole] = ()

    def _stages(self, members: Sequence[Effect], spec: StreamSpec) -> tuple[Stage, ...]:
        stages: list[Stage] = []
        for steady, group in itertools.groupby(members, is_steady):
            if steady:
                stages.append(NativeRun([member for member in group if isinstance(member, Native)], spec))
            else:
                stages.extend(group)
        return tuple(stages)

    def _latency(self, members: Sequence[Effect]) -> int:
        return sum(member.latency_samples for member in members)

    def _play(self, line: Line, samples: Audio) -> Audio:
        for stage in line.stages:
            samples = stage.push(samples)
        return samples

    def _drain(self, line: Line, samples: Audio) -> Audio:
        for member in line.members:
            samples = join([member.push(samples), member.drain()])
        return samples

    def _switch(self, old: Line, new: Line) -> Audio:
        """Drain what is taken out through all that follows it, so that no sample is lost."""
        assert self._spec is not None
        samples = self._spec.zeros(0)
        for member in old.members:
            samples = member.push(samples)
            if member not in new.members:
                samples = join([samples, member.drain()])
        return samples

    def _render(self, members: Sequence[Effect], samples: Audio, spec: StreamSpec) -> Audio:
        if self._whole_of is not members:
            self._whole_of, self._whole = members, list(whole_runs(members))
        for run in self._whole:
            samples = run.render(samples, spec)
        return samples


def whole_runs(members: Iterable[Effect]) -> Iterator[Effect | NativeWhole]:
    """Group native neighbours, as whole signals go through them; there each is compensated by itself."""
    for native, group in itertools.groupby(members, lambda member: isinstance(member, Native)):
        if native:
            yield NativeWhole([member for member in group if isinstance(member, Native)])
        else:
            yield from group


def is_steady(member: Effect) -> bool:
    """Tell whether an effect can run as one with native neighbours of its kind."""
    return isinstance(member, Native) and member.steady
