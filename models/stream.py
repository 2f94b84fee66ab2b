"""The stream: the one way audio is separated, offline, as an effect and live."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from soundlasso.dsp.delay import Delay
from soundlasso.dsp.errors import AudioError, QueryError
from soundlasso.dsp.gate import USUAL_THRESHOLD
from soundlasso.dsp.ramp import Ramp
from soundlasso.dsp.samples import check_samples
from soundlasso.models.engine import Asked, Audio, Profile
from soundlasso.models.query import check_query
from soundlasso.models.separator import DEFAULT_MODEL, Separator, Stereo, load_model

Keep = Literal["stem", "rest"]


@dataclasses.dataclass(frozen=True)
class _Wish:
    """What may be asked of the engine, in words."""

    queries: tuple[str, ...]
    avoid: tuple[str, ...]
    gate: bool
    consistent: bool
    gate_thresholds: tuple[float, ...]


class SeparationStream:
    """A separation in progress: blocks of the mixture in, blocks of each stem out.

    Any chunking gives the same samples; what comes out is `latency_samples` late, and `flush` gives
    what is left.  Everything that can be set may be set while the stream runs: it takes effect from
    the next frame on and cross-fades.

    Parameters
    ----------
    model
        A `Separator`, or its name.
    queries
        One text or several.
    sample_rate, channels
        Of the mixture, in Hz.
    stereo
        ``"linked"``: one mask for all channels, so the image stays; ``"independent"``: one each.
    gate
        Silence a stem while its sound is not there.
    gate_threshold
        The presence, 0 to 1, above which the gate opens; the lower, the more passes. One for all queries,
        or one each.
    consistent
        Let masks compete, so that stems do not overlap.
    avoid
        Sounds that compete with the queries but give no stem.
    keep
        ``"stem"``: what was named; ``"rest"``: all but that.
    duck_db
        Turn the other part down by this much instead of removing it (0 or less).
    profile
        How far a network with context looks; None is the model's own.

    Raises
    ------
    QueryError, AudioError, ModelError, ValueError
        When a text, the audio format, the model or a setting cannot be.

    Examples
    --------
    >>> import numpy as np
    >>> stream = SeparationStream("lariat", ["drums", "a voice"], 48000, channels=2)
    >>> stems = stream.process(np.zeros((2, 512), np.float32))
    >>> stems.shape, stream.latency_samples, stream.flush().shape
    ((2, 2, 512), 4479, (2, 2, 4479))
    """

    def __init__(
        self,
        model: Separator | str,
        queries: Sequence[str] | str,
        sample_rate: float,
        channels: int,
        *,
        stereo: Stereo = "linked",
        gate: bool = True,
        gate_threshold: float | Sequence[float] = USUAL_THRESHOLD,
        consistent: bool = False,
        avoid: Sequence[str] | str = (),
        keep: Keep = "stem",
        duck_db: float | None = None,
        profile: Profile | None = None,
    ) -> None:
        self.model = load_model(model) if isinstance(model, str) else model
        self.sample_rate, self.channels = sample_rate, channels
        self._engine = self.model.engine(sample_rate, channels, stereo=stereo, profile=profile)
        self.latency_samples = self._engine.latency_samples
        self.hop_samples = self._engine.hop_samples
        self._keep: Keep = keep
        self._duck_db = duck_db
        self._dry = Delay(channels, self.latency_samples)
        self._mix = Ramp(_mix_of(keep, duck_db), self.hop_samples)
        texts = _texts(queries, "query")
        thresholds = check_thresholds(gate_threshold, len(texts))
        self._ask(_Wish(texts, _texts(avoid, "avoid"), gate, consistent, thresholds))
        self.reset()

    def reset(self) -> None:
        """Be as new; what was set stays."""
        self._engine.reset()
        self._dry.reset()
        self._mix.reset()
        self._taken = 0

    def process(self, block: npt.NDArray[np.floating]) -> Audio:
        """Take n samples, return n samples of each stem.

        Shape: (channels, n) -> (queries, channels, n).

        Raises
        ------
        AudioError
            If the block has another shape or dtype, or holds NaN, infinity or a sample beyond 1e12:
            then nothing of it was taken, and the stream can go on.
        """
        block = self._check(block)
        self._taken += block.shape[1]
        dry = self._dry.process(block)
        stems = self._engine.process(block)
        of_stem, of_dry = self._mix.process(block.shape[1])
        if of_dry.any() or (of_stem != 1).any():
            stems = of_stem * stems + of_dry * dry
        return stems

    def flush(self) -> Audio:
        """Return the last `latency_samples` of each stem; the stream is as new after it."""
        last = self.process(np.zeros((self.channels, self.latency_samples), np.float32))
        self.reset()
        return last

    @property
    def presence(self) -> npt.NDArray[np.float64]:
        """How surely each sound is there now.  Shape: (queries,), 0 to 1."""
        return self._engine.presence

    @property
    def frame_rate(self) -> float:
        """How often presence is found, in Hz."""
        return self._engine.frame_rate

    def take_presence(self) -> npt.NDArray[np.float64]:
        """Return the presence at each frame of the output since this was last called, some 4000 at most.

        Those of a flush, too, but none from before the number of queries changed.  Shape: (queries, frames).
        """
        return self._engine.take_presence()

    @property
    def queries(self) -> tuple[str, ...]:
        """The texts, in the order of the stems; their number may change too."""
        return self._wish.queries

    @queries.setter
    def queries(self, texts: Sequence[str] | str) -> None:
        queries = _texts(texts, "query")
        kept = self._wish.gate_thresholds[: len(queries)]
        thresholds = kept + (USUAL_THRESHOLD,) * (len(queries) - len(kept))
        self._ask(dataclasses.replace(self._wish, queries=queries, gate_thresholds=thresholds))

    @property
    def avoid(self) -> tuple[str, ...]:
        """Sounds that compete with the queries but give no stem."""
        return self._wish.avoid

    @avoid.setter
    def avoid(self, texts: Sequence[str] | str) -> None:
        self._ask(dataclasses.replace(self._wish, avoid=_texts(texts, "avoid")))

    @property
    def gate(self) -> bool:
        """Whether a stem is silenced while its sound is not there."""
        return self._wish.gate

    @gate.setter
    def gate(self, on: bool) -> None:
        self._ask(dataclasses.replace(self._wish, gate=on))

    @property
    def gate_threshold(self) -> tuple[float, ...]:
        """The presence above which each query's gate opens; one number sets all."""
        return self._wish.gate_thresholds

    @gate_threshold.setter
    def gate_threshold(self, threshold: float | Sequence[float]) -> None:
        thresholds = check_thresholds(threshold, len(self._wish.queries))
        self._ask(dataclasses.replace(self._wish, gate_thresholds=thresholds))

    @property
    def consistent(self) -> bool:
        """Whether masks compete, so that stems do not overlap."""
        return self._wish.consistent

    @consistent.setter
    def consistent(self, on: bool) -> None:
        self._ask(dataclasses.replace(self._wish, consistent=on))

    @property
    def keep(self) -> Keep:
        """``"stem"`` or ``"rest"``."""
        return self._keep

    @keep.setter
    def keep(self, keep: Keep) -> None:
        self._mix.aim(_mix_of(keep, self._duck_db))
        self._keep = keep

    @property
    def duck_db(self) -> float | None:
        """How much the other part is turned down; None removes it."""
        return self._duck_db

    @duck_db.setter
    def duck_db(self, duck_db: float | None) -> None:
        self._mix.aim(_mix_of(self._keep, duck_db))
        self._duck_db = duck_db

    def _ask(self, wish: _Wish) -> None:
        """Ask for something else; if its texts cannot be queries, all stays as it was."""
        vectors = self.model.embed([*wish.queries, *wish.avoid])
        wanted = len(wish.queries)
        thresholds = np.array(wish.gate_thresholds)
        self._engine.ask(Asked(vectors[:wanted], vectors[wanted:], wish.gate, wish.consistent, thresholds))
        self._wish = wish

    def _check(self, block: npt.NDArray[np.floating]) -> Audio:
        if not isinstance(block, np.ndarray) or block.dtype not in (np.float32, np.float64):
            kind = block.dtype if isinstance(block, np.ndarray) else type(block).__name__
            raise AudioError(f"a block must be an array of float32 or float64, not {kind}")
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise AudioError(f"a block must have the shape ({self.channels}, samples), not {block.shape}")
        check_samples(block, self._taken)
        return block.astype(np.float32, copy=False)


def _texts(texts: Sequence[str] | str, role: str) -> tuple[str, ...]:
    checked = tuple(check_query(text) for text in ([texts] if isinstance(texts, str) else texts))
    if role == "query" and not checked:
        raise QueryError("no query was given; name at least one sound")
    return checked


def check_thresholds(given: float | Sequence[float], count: int) -> tuple[float, ...]:
    """Return a threshold for each of so many queries, from one for all or one each.

    Raises
    ------
    ValueError
        One is not from 0 to 1, or there are not so many.
    """
    thresholds = (float(given),) * count if isinstance(given, (int, float)) else tuple(map(float, given))
    if len(thresholds) != count or not all(0 <= threshold <= 1 for threshold in thresholds):
        raise ValueError(
            f"gate_threshold must be a number from 0 to 1, or one for each of {count} queries, not {given!r}"
        )
    return thresholds


def _mix_of(keep: Keep, duck_db: float | None) -> tuple[float, float]:
    """Return how much of the stem and how much of the mixture make the output.

    output = a * stem + b * (mixture - stem), the part not kept turned down to `duck_db`.
    """
    if keep not in get_args(Keep):
        raise ValueError(f"keep must be one of {', '.join(get_args(Keep))}, not {keep!r}")
    if duck_db is not None and not (math.isfinite(duck_db) and duck_db <= 0):
        raise ValueError(f"duck_db must be a number of 0 or less, not {duck_db!r}")
    other = 0.0 if duck_db is None else 10 ** (duck_db / 20)
    of_stem, of_rest = (1.0, other) if keep == "stem" else (other, 1.0)
    return of_stem - of_rest, of_rest


__all__ = ["DEFAULT_MODEL", "Keep", "SeparationStream"]
