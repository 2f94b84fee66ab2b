"""A list of effects that can be edited while it plays.

The items are a tuple that edits replace, never change.  When a stream runs, the editing thread starts
the new effects and then publishes the whole new line at once; the playing thread takes it at its next
block.  So the playing thread neither waits nor sees half an edit.
"""

import abc
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, SupportsIndex, TypeAlias, overload

from pedalboard import Plugin, PluginContainer

from soundlasso.bridge.effect import AlignedEffect, Audio, Effect, StreamSpec, join
from soundlasso.bridge.native import Native, wrap

Item: TypeAlias = Plugin | Effect | None


class Stage(Protocol):
    """What a line of effects is made of: something that audio is pushed through."""

    def push(self, samples: Audio) -> Audio:
        """Take any number of samples; return those that are ready."""
        ...


@dataclass(frozen=True)
class Line:
    """The items of a container, ready to play: one effect each, and how they run."""

    members: tuple[Effect, ...]
    stages: tuple[Stage, ...]


class Container(AlignedEffect):
    """What `Board` and `Mix` share: pedalboard's list of plugins, slices and more, edited while it plays.

    An item is a native plugin, an effect, another board, or None, which is skipped.
    """

    def __init__(self, plugins: Iterable[Item] | None = None) -> None:
        self._items: tuple[Item, ...] = ()
        self._wrapped: tuple[tuple[Item, ...], tuple[Effect, ...]] = ((), ())
        self._line: Line | None = None
        self._playing: Line | None = None
        self._editing = threading.RLock()
        self._replace(list(plugins or ()))

    # The list.

    def __len__(self) -> int:
        """Count the items, None included."""
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        """Go through the items as they are now."""
        return iter(self._items)

    def __contains__(self, item: object) -> bool:
        """Tell whether this very item is here."""
        return any(item is other for other in self._items)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Item | Self:
        """Return an item, or a new container of the items of a slice."""
        if isinstance(index, slice):
            return type(self)(self._items[index])
        return self._items[index]

    @overload
    def __setitem__(self, index: SupportsIndex, item: Item) -> None: ...
    @overload
    def __setitem__(self, index: slice, item: Iterable[Item]) -> None: ...
    def __setitem__(self, index: SupportsIndex | slice, item: Item | Iterable[Item]) -> None:
        """Replace an item, or the items of a slice."""
        self._edit(lambda items: items.__setitem__(index, item))  # type: ignore[index, assignment]

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        """Take out an item, or the items of a slice."""
        self._edit(lambda items: items.__delitem__(index))

    def append(self, item: Item) -> None:
        """Add an item at the end."""
        self._edit(lambda items: items.append(item))

    def extend(self, items: Iterable[Item]) -> None:
        """Add items at the end."""
        self._edit(lambda old: old.extend(items))

    def insert(self, index: int, item: Item) -> None:
        """Add an item before the one at `index`; IndexError past the end, as in pedalboard."""
        if not -len(self) <= index <= len(self):
            raise IndexError(f"cannot insert at {index!r}: the board has {len(self)} items")
        self._edit(lambda items: items.insert(index, item))

    def pop(self, index: SupportsIndex = -1) -> Item:
        """Take an item out and return it."""
        popped: list[Item] = []
        self._edit(lambda items: popped.append(items.pop(index)))
        return popped[0]

    def remove(self, item: Item) -> None:
        """Take this very item out."""
        self._edit(lambda items: items.pop(_position(items, item)))

    def index(self, item: Item) -> int:
        """Return where this very item is."""
        return _position(self._items, item)

    def __repr__(self) -> str:
        """Show the items, as pedalboard does."""
        plural = "" if len(self) == 1 else "s"
        return f"<{type(self).__name__} with {len(self)} plugin{plural}: {list(self._items)!r}>"

    def inside(self) -> Iterable[Item]:
        """Return the items."""
        return self._items

    # Edits.

    def _edit(self, change: Callable[[list[Item]], object]) -> None:
        with self._editing:
            items = list(self._items)
            change(items)
            self._replace(items)

    def _replace(self, items: list[Item]) -> None:
        check_items(self, items)
        if self._line is not None and self._spec is not None:
            self._publish(self._link(items, self._spec, self._members()), self._spec)
        self._items = tuple(items)
        self._holds_boards = any(isinstance(item, AlignedEffect) for item in items)

    def _publish(self, line: Line, spec: StreamSpec) -> None:
        if self._playing is not None and self._playing.stages:
            self._line = line
        else:  # a whole signal was processed, and no stream has begun
            self._begin(spec, line)

    def _link(self, items: Iterable[Item], spec: StreamSpec, running: Sequence[Effect]) -> Line:
        members = effects_of(items, running)
        for member in members:
            if member not in running:
                member.start(spec)
        return Line(members, self._stages(members, spec))

    def _effects(self) -> tuple[Effect, ...]:
        """Return every item as an effect, the same ones as long as the list is the same."""
        with self._editing:
            if self._holds_boards:
                check_items(self, self._items)  # a board inside may have been edited
            items, effects = self._wrapped
            if items is not self._items:
                effects = effects_of(self._items, self._members())
                self._wrapped = self._items, effects
            return effects

    def _members(self) -> tuple[Effect, ...]:
        """Return what plays and what will play next: both must not be started again."""
        lines = [line for line in (self._playing, self._line) if line is not None]
        return tuple(member for line in lines for member in line.members)

    # What Board and Mix differ in.

    @abc.abstractmethod
    def _stages(self, members: Sequence[Effect], spec: StreamSpec) -> tuple[Stage, ...]:
        """Return what a stream is pushed through."""

    @abc.abstractmethod
    def _latency(self, members: Sequence[Effect]) -> int:
        """Return how late all are together."""

    @abc.abstractmethod
    def _switch(self, old: Line, new: Line) -> Audio:
        """Take up a new line at the edge of a block; return what the old one still gives."""

    @abc.abstractmethod
    def _play(self, line: Line, samples: Audio) -> Audio:
        """Push samples through; return those that are ready."""

    @abc.abstractmethod
    def _drain(self, line: Line, samples: Audio) -> Audio:
        """Push the last samples and return them with all that is still inside."""

    @abc.abstractmethod
    def _render(self, members: Sequence[Effect], samples: Audio, spec: StreamSpec) -> Audio:
        """Process a whole signal."""

    # The stream.

    def start(self, spec: StreamSpec) -> None:
        """Begin a new stream in every effect."""
        with self._editing:
            check_items(self, self._items)  # a board inside may have been edited
            self._wrapped = (), ()  # wrappers begin anew too
            self._begin(spec, self._link(self._items, spec, ()))

    def _begin(self, spec: StreamSpec, line: Line) -> None:
        self._spec, self._line, self._playing = spec, line, line
        self.latency_samples = self._latency(line.members)

    def render(self, samples: Audio, spec: StreamSpec) -> Audio:
        """Process a whole signal, each effect compensated on its own."""
        members = self._effects()
        done = self._render(members, samples, spec)
        self._go_on(members, spec)
        return done

    def _go_on(self, members: tuple[Effect, ...], spec: StreamSpec) -> None:
        """Let a stream begin where a whole signal ended, if every effect can."""
        line = self._playing
        if any([member._spec is None for member in members]):
            self._spec = self._line = self._playing = None
            return
        self._spec = spec
        if line is None or line.stages or line.members is not members or self._line is not line:
            self._line = self._playing = Line(members, ())  # stages when they are needed

    def push(self, samples: Audio) -> Audio:
        """Take any number of samples; return those that are ready, after taking up any edit."""
        line, edge = self._take_up()
        done = self._play(line, samples)
        if edge is not None or self._holds_boards:  # a board inside may have been edited
            self.latency_samples = self._latency(line.members)
        return done if edge is None else join([edge, done])

    def _take_up(self) -> tuple[Line, Audio | None]:
        """Return the line to play, and after an edit what the one before it still gives."""
        line, playing = self._line, self._playing
        assert line is not None and playing is not None and self._spec is not None, "audio before start()"
        if not line.stages and line.members:
            with self._editing:
                line = Line(line.members, self._stages(line.members, self._spec))
                self._begin(self._spec, line)
            return line, None
        if line is playing:
            return line, None
        edge = self._switch(playing, line)
        self._playing = line
        return line, edge

    def drain(self) -> Audio:
        """Return what is still inside; then the board is as just started."""
        assert self._spec is not None, "drain() before start()"
        line, edge = self._take_up()
        last = self._drain(line, self._spec.zeros(0))
        rest = last if edge is None else join([edge, last])
        self._begin(self._spec, line)
        return rest

    def clear(self) -> None:
        """Forget all audio in every effect."""
        if self._playing is not None and self._spec is not None:
            line, _ = self._take_up()
            self._drain(line, self._spec.zeros(0))
            self._begin(self._spec, line)

    def reset(self) -> None:
        """Forget all audio, the stream and the channel layout."""
        with self._editing:  # every effect begins anew with the next stream
            self._spec = self._layout = self._line = self._playing = None


def check_items(board: Container, items: Iterable[Item]) -> None:
    """Refuse what cannot be in a board.

    Raises
    ------
    TypeError
        An item that is no effect.
    ValueError
        An instrument.
    RuntimeError
        The same effect twice, or a board inside itself.
    """
    seen = {id(board)}
    waiting: list[object] = [item for item in items if item is not None]
    while waiting:
        part = waiting.pop()
        check_item(part)
        if part is board:
            raise RuntimeError("a board cannot be inside itself")
        if id(part) in seen:
            raise RuntimeError(f"{part!r} is in the board twice; make another one of its kind")
        seen.add(id(part))
        within = (
            part.inside() if isinstance(part, Effect) else part if isinstance(part, PluginContainer) else ()
        )
        waiting.extend(inner for inner in within if inner is not None)


def check_item(item: object) -> None:
    """Refuse what is no effect."""
    if not isinstance(item, (Plugin, Effect)):
        raise TypeError(f"{item!r} is no effect; give a pedalboard plugin, an Effect, a board or None")
    if not item.is_effect:
        raise ValueError(f"{item!r} is an instrument; a board takes effects only")


def effects_of(items: Iterable[Item], known: Sequence[Effect] = ()) -> tuple[Effect, ...]:
    """Return every item as an effect; native plugins keep the wrapper they already have."""
    wrappers = {id(effect.plugin): effect for effect in known if isinstance(effect, Native)}
    present = [item for item in items if item is not None]
    return tuple(
        item if isinstance(item, Effect) else wrappers.get(id(item)) or wrap(item) for item in present
    )


def _position(items: Sequence[Item], item: Item) -> int:
    for position, other in enumerate(items):
        if other is item:
            return position
    raise ValueError(f"{item!r} is not in the board")
