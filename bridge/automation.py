"""Changes in the course of a render: from an instant on, another query or setting."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from soundlasso.dsp.errors import SoundlassoError

if TYPE_CHECKING:
    from soundlasso.bridge.render_tracks import Audio
    from soundlasso.models.stream import SeparationStream

Changeable = Literal["query", "gate_threshold", "gate", "avoid"]


@dataclasses.dataclass(frozen=True)
class Change:
    """One change; it holds from the next frame of the model on, and cross-fades.

    Parameters
    ----------
    at_s
        When, in seconds from the start of the render.
    name
        What changes: ``"query"`` (text), ``"gate_threshold"`` (0 to 1), ``"gate"`` (bool), or
        ``"avoid"`` (a tuple of texts).
    value
        What it becomes.
    stem
        Whose query or threshold, counted from 0 in the order of the stems.

    Raises
    ------
    SoundlassoError
        The time or the name cannot be.
    QueryError
        A text cannot be a query.
    """

    at_s: float
    name: Changeable
    value: Any
    stem: int = 0

    def __post_init__(self) -> None:
        """Check all that can be checked without a stream."""
        from soundlasso.models.query import check_query

        if not (math.isfinite(self.at_s) and self.at_s >= 0):
            raise SoundlassoError(f"cannot change anything at {self.at_s!r} s; choose 0 or more")
        if self.name not in get_args(Changeable):
            raise SoundlassoError(f"cannot change {self.name!r}; choose {', '.join(get_args(Changeable))}")
        if self.name == "gate_threshold" and not 0 <= self.value <= 1:
            raise SoundlassoError(f"a gate_threshold of {self.value!r} cannot be; choose 0 to 1")
        for text in {"query": (self.value,), "avoid": self.value}.get(self.name, ()):
            check_query(text)

    def apply(self, stream: "SeparationStream") -> None:
        """Make the change."""
        if self.name in ("gate", "avoid"):
            setattr(stream, self.name, self.value)
        elif self.name == "query":
            stream.queries = _replaced(stream.queries, self.stem, self.value)
        else:
            stream.gate_threshold = _replaced(stream.gate_threshold, self.stem, float(self.value))


def _replaced(values: Sequence[Any], index: int, value: Any) -> list[Any]:
    return [value if i == index else old for i, old in enumerate(values)]


def check_changes(changes: Iterable[Change], stems: int) -> None:
    """Raise SoundlassoError when a change is for a stem that the render does not have."""
    for change in changes:
        if not 0 <= change.stem < stems:
            raise SoundlassoError(f"a change is for stem {change.stem}; the render has 0 to {stems - 1}")


def automated(
    stream: "SeparationStream", blocks: Iterable["Audio"], changes: Iterable[Change], sample_rate: float
) -> Iterator["Audio"]:
    """Pass blocks on, cut where something changes; each change is made before the sample that it is for.

    Shape of each block: ``(channels, samples)``.
    """
    waiting = sorted(changes, key=lambda change: change.at_s)
    due = [round(change.at_s * sample_rate) for change in waiting]
    start = made = 0
    for block in blocks:
        end = start + block.shape[1]
        cuts = sorted({start, *(at for at in due[made:] if start < at < end), end})
        for first, last in itertools.pairwise(cuts):
            while made < len(due) and due[made] <= first:
                waiting[made].apply(stream)
                made += 1
            yield block[:, first - start : last - start]
        start = end
