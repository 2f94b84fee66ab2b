"""What is heard: the mix of all slots, the chain after it, a recording; one board, moved while it plays."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.board import Board
from soundlasso.bridge.effect import Effect
from soundlasso.bridge.osc.mixer import Audio, Level, mixer_of, take_up

if TYPE_CHECKING:
    from soundlasso.bridge.container import Item
    from soundlasso.bridge.osc.player import Sink
    from soundlasso.bridge.osc.worker import Line
    from soundlasso.models.separator import Separator


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
    sink
        Takes what is heard.

    Attributes
    ----------
    board
        The slots, the chain's effects, and last what gives to `sink`.
    """

    def __init__(self, separator: "Separator", controls: "Line", sink: "Sink") -> None:
        self._slots = Slots(separator, controls)
        self._links: list[Any] = []
        self._moved: dict[str, Any] = {}
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
        from soundlasso.bridge.presets.chains import make_items, move, read_link

        links = chain["links"]
        if links != self._links:
            first, last = _in_common(self._links, links)
            fresh: list[Item] = make_items([read_link(link) for link in links[first : len(links) - last]])
            self.board[1 + first : 1 + len(self._links) - last] = fresh
            self._links, self._moved = links, {}
        for key, value in chain["moved"].items():
            if self._moved.get(key) != value:
                number, _, name = key.partition(".")
                move(self.board[int(number)], name, value)
        self._moved = chain["moved"]


def _in_common(old: Sequence[Any], new: Sequence[Any]) -> tuple[int, int]:
    """Return how many items two lists share at their start, and of what is left then at their end."""
    most = min(len(old), len(new))
    first = next((i for i in range(most) if old[i] != new[i]), most)
    most -= first
    last = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
    return first, last
