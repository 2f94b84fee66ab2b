"""A presence gate: a stem is silent unless its sound is there.

Three steps for every frame: smooth the evidence to a *presence* from 0 to 1, decide with hysteresis
and a hold whether the gate is open, and move its gain there in a few frames, so that nothing clicks.
"""

import collections
import dataclasses

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MOST_HISTORY = 4096  # frames; enough for any block, and little memory where nobody asks
_NOTHING = 1e-30  # keeps 0 / 0 out of the presence
USUAL_THRESHOLD = 0.5  # of presence, above which a gate opens


@dataclasses.dataclass(frozen=True)
class GateSettings:
    """Where the gate opens and closes, and how fast.

    Between `close_below` and `open_above` it stays as it is; it also stays open for `hold_s` after
    the presence has fallen.
    """

    open_above: float = USUAL_THRESHOLD
    close_below: float = USUAL_THRESHOLD / 2
    smooth_s: float = 0.1
    hold_s: float = 0.35
    attack_s: float = 0.03
    release_s: float = 0.2

    def __post_init__(self) -> None:
        """Check the order of the thresholds and the signs of the times."""
        if not 0 <= self.close_below <= self.open_above <= 1:
            raise ValueError(
                f"thresholds must satisfy 0 <= close_below <= open_above <= 1, "
                f"not close_below={self.close_below!r}, open_above={self.open_above!r}"
            )
        for name in ("smooth_s", "hold_s", "attack_s", "release_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)!r}")


class PresenceGate:
    """Gate several queries side by side, any number of frames at a time.

    Evidence comes as two sums a frame, what speaks for the sound and how much was heard of it, so
    that loud frames count for more and silent ones for nothing.

    Shape: process (queries, T), (queries, T) -> gains and presence, both (queries, T), 0 to 1.
    """

    def __init__(self, queries: int, frame_rate: float, settings: GateSettings | None = None) -> None:
        self.settings = settings or GateSettings()
        self.frame_rate = frame_rate
        self._hold_frames = round(self.settings.hold_s * frame_rate)
        self._rise = 1 / max(1.0, self.settings.attack_s * frame_rate)
        self._fall = 1 / max(1.0, self.settings.release_s * frame_rate)
        self._memory = float(np.exp(-1 / max(1e-9, self.settings.smooth_s * frame_rate)))
        self.queries = queries
        self._open_above = np.full(queries, self.settings.open_above)
        self._history: collections.deque[Floats] = collections.deque(maxlen=_MOST_HISTORY)
        self.reset()

    def reset(self) -> None:
        """Close all gates and forget all evidence, but not what was found."""
        self._sums = np.zeros((2, self.queries))
        self._held = np.zeros(self.queries, int)
        self._gain = np.zeros(self.queries)
        self.presence = np.zeros(self.queries)

    def resize(self, queries: int) -> None:
        """Keep the first `queries` gates; new ones start closed.

        What was found so far is forgotten if their number changes.
        """
        if queries == self.queries:
            return
        kept = min(queries, self.queries)
        sums, held, gain, presence = self._sums, self._held, self._gain, self.presence
        added = np.full(queries - kept, self.settings.open_above)
        self._open_above = np.concatenate([self._open_above[:kept], added])
        self.queries = queries
        self._history.clear()
        self.reset()
        self._sums[:, :kept], self._held[:kept] = sums[:, :kept], held[:kept]
        self._gain[:kept], self.presence[:kept] = gain[:kept], presence[:kept]

    def open_at(self, thresholds: Floats | None) -> None:
        """Open each gate above a presence of its own, and close it at the part of that which is usual.

        Shape: (queries,), 0 to 1; None is as the settings say.
        """
        usual = np.full(self.queries, self.settings.open_above)
        self._open_above = usual if thresholds is None else thresholds

    def process(self, speaking_for: Floats, heard: Floats) -> tuple[Floats, Floats]:
        """Take each frame's evidence; return each frame's gain, and its presence."""
        gains, presence = np.empty_like(speaking_for), np.empty_like(speaking_for)
        for t in range(gains.shape[1]):
            self._smooth(speaking_for[:, t], heard[:, t])
            self._move()
            gains[:, t], presence[:, t] = self._gain, self.presence
            self._history.append(self.presence)
        return gains, presence

    def take_history(self) -> Floats:
        """Return the presence at each frame since this was last called, 4096 at most.

        Shape: (queries, frames).
        """
        history = np.array(self._history).reshape(-1, self.queries).T
        self._history.clear()
        return history

    def _smooth(self, speaking_for: Floats, heard: Floats) -> None:
        """Average both sums over the last `smooth_s` seconds; their ratio is the presence."""
        self._sums *= self._memory
        self._sums[0] += (1 - self._memory) * speaking_for
        self._sums[1] += (1 - self._memory) * heard
        self.presence = self._sums[0] / np.maximum(self._sums[1], _NOTHING)

    def _move(self) -> None:
        """Decide which gates are open, and move their gains there."""
        settings = self.settings
        hysteresis = settings.close_below / max(settings.open_above, _NOTHING)
        threshold = np.where(self._held > 0, hysteresis * self._open_above, self._open_above)
        self._held = np.where(
            self.presence >= threshold, self._hold_frames + 1, np.maximum(self._held - 1, 0)
        )
        target = (self._held > 0).astype(np.float64)
        self._gain = np.minimum(np.maximum(target, self._gain - self._fall), self._gain + self._rise)
