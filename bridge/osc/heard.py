"""What is heard: the mix of all slots, the chain after it, a recording; one board, moved while it plays."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.board import Board
from soundlasso.bridge.effect import Effect
from soundlasso.bridge.osc.mixer import Level, mixer_of, take_up
from soundlasso.bridge.osc.voice import Audio

if TYPE_CHECKING:
    from soundlasso.bridge.container import Item
    from soundlasso.bridge.osc.player import Sink
    from soundlasso.bridge.osc.worker import Line
    from soundlasso.models.separator import Separator

HIGHEST_SHARE = 0.49  # of the sample rate: filters beyond half of it give infinity, and do not recover


class Slots(Effect):
    """The mix of all slots as an effect.

    Parameters
    ----------
    separator
        The model.
    controls
        What the slots ask for, as `soundlasso.bridge.osc.live.controls` gives it.
    """

    def __init__(self, separator: "Separator", controls: "Line") -> None:
        self._separator = separator
        self._controls = controls
        self._lock = threading.Lock()  # audio plays while commands come; neither holds it long

    def prepare(self, sample_rate: float, channels: int, max_block: int) -> None:
        """Make the mix."""
        self.mixer = mixer_of(self._separator, sample_rate, channels, self._controls)
        self.latency_samples = self.mixer.latency_samples

    def block(self, samples: Audio) -> Audio:
        """Mix one block."""
        with self._lock:
            return self.mixer.process(samples)

    def control(self, controls: "Line") -> None:
        """Take up what the slots ask for from the next block on.

        Raises
        ------
        SoundlassoError
            When a text cannot be a query; then nothing has changed.
        """
        # A text that is new takes many times as long as a block; it is remembered.
        self._separator.embed([voice["query"] for voice in controls["voices"]] + controls["avoid"])
        with self._lock:
            take_up(self.mixer, controls)
        self._controls = controls

    def levels(self) -> list[Level]:
        """Return the levels since the last call."""
        with self._lock:
            return self.mixer.levels()


class Tap(Effect):
    """Gives away what passes, unchanged."""

    def __init__(self, sink: "Sink") -> None:
        self._sink = sink

    def block(self, samples: Audio) -> Audio:
        """Pass one block on."""
        self._sink(samples)
        return samples


class Heard:
    """The board that a stream plays.

    Parameters
    ----------
    separator
        The model.
    controls
        What is asked for, as `soundlasso.bridge.osc.live.controls` gives it.
    sample_rate
        Of what is played, in Hz.
    sink
        Takes what is heard.

    Attributes
    ----------
    board
        The slots, the chain's effects, and last what gives to `sink`.
    """

    def __init__(self, separator: "Separator", controls: "Line", sample_rate: float, sink: "Sink") -> None:
        self._highest_hz = HIGHEST_SHARE * sample_rate
        self._slots = Slots(separator, controls)
        self._links: list[Any] = []
        self._values: list[Line] = []
        self.board = Board([self._slots, Tap(sink)])
        self._rechain(controls["chain"])

    def control(self, controls: "Line") -> None:
        """Take up what is asked for from the next block on.

        Raises
        ------
        SoundlassoError
            When a text cannot be a query; then nothing has changed.
        """
        self._slots.control(controls)
        self._rechain(controls["chain"])

    def levels(self) -> list[Level]:
        """Return the levels of the slots since the last call."""
        return self._slots.levels()

    def _rechain(self, chain: "Line") -> None:
        """Make what is new in the chain, and leave what stays: its echoes ring on."""
        links, values = chain["links"], [self._playable(wanted) for wanted in chain["values"]]
        if links != self._links:
            first, last = _in_common(self._links, links)
            new = slice(first, len(links) - last)
            old = slice(first, len(self._links) - last)
            self.board[1 + old.start : 1 + old.stop] = _made(links[new], values[new])
            self._links, self._values[old] = links, values[new]
        for number, (before, now) in enumerate(zip(self._values, values, strict=True), 1):
            _move(self.board[number], before, now)
        self._values = values

    def _playable(self, values: "Line") -> "Line":
        """Hold frequencies where filters are stable."""
        return {
            name: min(value, self._highest_hz) if name.endswith("_hz") else value
            for name, value in values.items()
        }


def _made(links: "Sequence[Line]", values: "Sequence[Line]") -> "list[Item]":
    from soundlasso.bridge.presets.chains import make_items, read_link

    fresh = make_items([read_link(link) for link in links])
    for effect, wanted in zip(fresh, values, strict=True):
        _move(effect, {}, wanted)
    return fresh


def _move(effect: "Item", before: "Line", now: "Line") -> None:
    """Move what is not where it is to be."""
    from soundlasso.bridge.presets.chains import move

    for name, value in now.items():
        if before.get(name) != value:
            move(effect, name, value)


def _in_common(old: Sequence[Any], new: Sequence[Any]) -> tuple[int, int]:
    """Return how many items two lists share at their start, and of what is left then at their end."""
    most = min(len(old), len(new))
    first = next((i for i in range(most) if old[i] != new[i]), most)
    most -= first
    last = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
    return first, last
