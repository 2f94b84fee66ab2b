"""Separation as an effect: name a sound inside a board, and keep it, remove it or turn it down."""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, get_args

from soundlasso.bridge.effect import Audio, Effect
from soundlasso.dsp.delay import Delay
from soundlasso.dsp.gate import USUAL_THRESHOLD
from soundlasso.dsp.ramp import Ramp
from soundlasso.models.engine import Profile
from soundlasso.models.query import check_query
from soundlasso.models.separator import DEFAULT_MODEL, Separator, Stereo, load_model
from soundlasso.models.stream import Keep, SeparationStream

Got = TypeVar("Got")
Given = TypeVar("Given")


@dataclass(frozen=True)
class Settings:
    """All of a `Separate` that may change while it runs, checked and replaced as one."""

    query: str
    keep: Keep
    duck_db: float | None
    mix: float
    gain_db: float
    avoid: tuple[str, ...]
    gate: bool
    gate_threshold: float

    def __post_init__(self) -> None:
        """Check every value, and store texts as they will be heard."""
        avoid = (self.avoid,) if isinstance(self.avoid, str) else self.avoid
        object.__setattr__(self, "query", check_query(self.query))
        object.__setattr__(self, "avoid", tuple(check_query(text) for text in avoid))
        if self.keep not in get_args(Keep):
            raise ValueError(f"keep is {self.keep!r}; it must be one of {', '.join(get_args(Keep))}")
        if not 0 <= self.mix <= 1:
            raise ValueError(f"mix is {self.mix!r}; it must be 0 (all dry) to 1 (all separated)")
        if not -math.inf <= self.gain_db < 200:
            raise ValueError(f"gain_db is {self.gain_db!r}; it must be below 200 dB")
        if self.duck_db is not None and not -math.inf < self.duck_db <= 0:
            raise ValueError(f"duck_db is {self.duck_db!r}; it must be 0 or less, or None to remove")
        if not 0 <= self.gate_threshold <= 1:
            raise ValueError(f"gate_threshold is {self.gate_threshold!r}; it must be from 0 to 1")

    @property
    def levels(self) -> tuple[float, float]:
        """The gains of the separated and of the dry signal."""
        gain = 10 ** (self.gain_db / 20)
        return gain * self.mix, gain * (1 - self.mix)


class Setting(Generic[Got, Given]):
    """An attribute that is one of the `Settings`."""

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember which."""
        self.name = name

    def __get__(self, effect: Any, owner: type) -> Got:
        """Return the value that was set last."""
        return self if effect is None else getattr(effect.settings, self.name)  # type: ignore[return-value]

    def __set__(self, effect: Any, value: Given) -> None:
        """Check the value and have it taken up at the next block."""
        effect.change(**{self.name: value})


class Separate(Effect):
    """Keep what a text names, or the rest, in a `Board`.

    Parameters
    ----------
    query
        The sound, in words.
    keep
        ``"stem"``: what was named; ``"rest"``: all but that.
    duck_db
        Turn the other part down by this much (0 or less) instead of removing it.
    mix
        0 the dry signal, 1 the separated one.
    gain_db
        Gain of the output.
    avoid
        Sounds that compete with the query, and are kept out of it.
    model, profile, stereo
        As in `SeparationStream`; fixed.
    gate
        Silence the stem while its sound is not there.
    gate_threshold
        The presence, 0 to 1, above which that gate opens; the lower, the more passes.

    All others may be set while the effect runs, from any thread: they are taken up at the next block,
    without a click. `presence` tells how surely the sound is there now, 0 to 1.

    Raises
    ------
    QueryError, ValueError
        A text that cannot be a query, or a setting out of its range.

    Examples
    --------
    >>> import pedalboard
    >>> from soundlasso.bridge.board import Board
    >>> voice = Separate("a voice", keep="rest", avoid=["guitar"])
    >>> board = Board([pedalboard.HighpassFilter(80), voice, pedalboard.Reverb()])
    >>> voice.mix = 0.5
    """

    query: Setting[str, str] = Setting()
    keep: Setting[Keep, Keep] = Setting()
    duck_db: Setting[float | None, float | None] = Setting()
    mix: Setting[float, float] = Setting()
    gain_db: Setting[float, float] = Setting()
    avoid: Setting[tuple[str, ...], Sequence[str] | str] = Setting()
    gate: Setting[bool, bool] = Setting()
    gate_threshold: Setting[float, float] = Setting()

    def __init__(
        self,
        query: str,
        *,
        keep: Keep = "stem",
        duck_db: float | None = None,
        mix: float = 1.0,
        gain_db: float = 0.0,
        avoid: Sequence[str] | str = (),
        model: Separator | str = DEFAULT_MODEL,
        profile: Profile | None = None,
        stereo: Stereo = "linked",
        gate: bool = True,
        gate_threshold: float = USUAL_THRESHOLD,
    ) -> None:
        self.settings = Settings(
            query, keep, duck_db, mix, gain_db, avoid, gate, gate_threshold,  # type: ignore[arg-type]
        )  # fmt: skip
        self.model, self.profile = model, profile
        self.stereo: Stereo = stereo
        self._stream: SeparationStream | None = None
        self._changing = threading.Lock()

    def change(self, **settings: Any) -> None:
        """Set several settings at once; if one cannot be, none is set."""
        new = replace(self.settings, **settings)
        if self._stream is not None:  # read the texts here, so that the playing thread need not
            self._stream.model.embed([new.query, *new.avoid])
        with self._changing:  # reading may take seconds, in which others may have set something else
            self.settings = replace(self.settings, **settings)

    @property
    def presence(self) -> float:
        """How surely the sound is there now, 0 to 1."""
        return 0.0 if self._stream is None else float(self._stream.presence[0])

    def prepare(self, sample_rate: float, channels: int, max_block: int) -> None:
        """Load the model and begin a stream."""
        now = self._playing = self.settings
        stream = self._stream
        if stream is None or (stream.sample_rate, stream.channels) != (sample_rate, channels):
            self._stream = stream = SeparationStream(
                load_model(self.model) if isinstance(self.model, str) else self.model,
                now.query, sample_rate, channels, stereo=self.stereo, gate=now.gate,
                gate_threshold=now.gate_threshold, avoid=now.avoid, keep=now.keep, duck_db=now.duck_db,
                profile=self.profile,
            )  # fmt: skip
        else:
            apply(now, stream)
        self.latency_samples = stream.latency_samples
        self._dry = Delay(channels, stream.latency_samples)
        self._levels = Ramp(now.levels, stream.hop_samples)
        self.clear()

    def block(self, samples: Audio) -> Audio:
        """Separate one block, after taking up what was set."""
        assert self._stream is not None, "block() before prepare()"
        if self.settings is not self._playing:
            self._playing = self.settings
            apply(self._playing, self._stream)
            self._levels.aim(self._playing.levels)
        wet, dry = self._stream.process(samples)[0], self._dry.process(samples)
        of_wet, of_dry = self._levels.process(samples.shape[1])
        mixed: Audio = of_wet * wet + of_dry * dry if of_dry.any() else of_wet * wet
        return mixed

    def clear(self) -> None:
        """Forget all audio; what was set stays."""
        assert self._stream is not None, "clear() before prepare()"
        self._stream.reset()
        self._dry.reset()
        self._levels.reset()

    def __repr__(self) -> str:
        """Show how to make it, without what is as usual."""
        usual = Settings("x", "stem", None, 1.0, 0.0, (), True, USUAL_THRESHOLD)
        shown = [
            f"{name}={value!r}" for name, value in vars(self.settings).items() if value != vars(usual)[name]
        ]
        return f"Separate({', '.join([repr(self.query), *shown[1:]])})"


def apply(settings: Settings, stream: SeparationStream) -> None:
    """Have a stream go over to these settings."""
    wanted = {
        "queries": (settings.query,),
        "avoid": settings.avoid,
        "gate": settings.gate,
        "gate_threshold": (settings.gate_threshold,),
        "keep": settings.keep,
        "duck_db": settings.duck_db,
    }
    for name, value in wanted.items():
        if getattr(stream, name) != value:
            setattr(stream, name, value)
