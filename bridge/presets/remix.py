"""A preset as an effect: its stems and rest through their chains, summed, and the mix's chain after."""

from collections.abc import Iterable, Iterator

import numpy as np

from soundlasso.bridge.board import Board
from soundlasso.bridge.container import Item
from soundlasso.bridge.effect import AlignedEffect, Audio, Effect, StreamSpec, join
from soundlasso.bridge.mix import AlignedSum
from soundlasso.bridge.presets.chains import make_items
from soundlasso.bridge.presets.hearing import PresetStream
from soundlasso.bridge.presets.preset import REST, Preset, Strip
from soundlasso.dsp.delay import Delay
from soundlasso.models.separator import Separator, load_model


class Level(Effect):
    """Gain and balance; a mix that is not stereo has no sides, and its balance is left alone."""

    def __init__(self, gain_db: float, pan: float = 0.0) -> None:
        self.gain_db, self.pan = gain_db, pan

    def prepare(self, sample_rate: float, channels: int, max_block: int) -> None:
        """Work out the gain of each channel."""
        sides = [min(1.0, 1 - self.pan), min(1.0, 1 + self.pan)] if channels == 2 else [1.0] * channels
        self._gains = (np.array(sides)[:, None] * 10 ** (self.gain_db / 20)).astype(np.float32)

    def block(self, samples: Audio) -> Audio:
        """Multiply."""
        louder: Audio = samples * self._gains
        return louder

    def __repr__(self) -> str:
        """Show how to make it."""
        return f"Level({self.gain_db!r}, {self.pan!r})"


def make_strip(strip: Strip) -> Board:
    """Make a strip's chain with its level after it; a neutral one is empty."""
    items: list[Item] = make_items(strip.chain)
    if strip.gain_db or strip.pan:
        items.append(Level(strip.gain_db, strip.pan))
    return Board(items)


def duck_gain(strip: Strip) -> float:
    """Return how loud a strip is in the mix, beside its own file."""
    return 0.0 if strip.remove else 10 ** ((strip.duck_db or 0.0) / 20)


def make_board(preset: Preset, model: Separator | None = None) -> Board:
    """Make a board that gives a preset's mix; ``board[0]`` is its `Remix`."""
    return Board([Remix(preset, model), *make_items(preset.mix.chain)])


class Remix(AlignedEffect):
    """The sum of a preset's stems and rest, each through its strip.

    ``remix["drums"]`` is the strip's `Board`, which may be edited while all plays.  With neutral strips
    the output is the input, late, to rounding.

    Parameters
    ----------
    preset
        What to separate and what to do with it.
    model
        What to separate with; None loads the preset's own.
    """

    def __init__(self, preset: Preset, model: Separator | None = None) -> None:
        self.preset = preset
        self._model = model
        strips = {**{stem.name: stem for stem in preset.stems}, REST: preset.rest}
        self._ducks = {name: duck_gain(strip) for name, strip in strips.items()}
        self._strips = {name: make_strip(strip) for name, strip in strips.items() if not strip.remove}
        self._stream: PresetStream | None = None

    def __getitem__(self, name: str) -> Board:
        """Return the strip of a stem, or of the rest."""
        if name not in self._strips:
            raise KeyError(f"no strip {name!r}; there are {', '.join(self._strips)}")
        return self._strips[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the strips."""
        return iter(self._strips)

    def inside(self) -> Iterable[Board]:
        """Return the strips."""
        return self._strips.values()

    @property
    def presence(self) -> dict[str, float]:
        """How surely each stem is there now, 0 to 1."""
        names = [stem.name for stem in self.preset.stems]
        found = [0.0] * len(names) if self._stream is None else self._stream.presence.tolist()
        return dict(zip(names, found, strict=True))

    def start(self, spec: StreamSpec) -> None:
        """Load the model and begin a stream."""
        stream = self._open(spec)
        for strip in self._strips.values():
            strip.start(spec)
        self._begin(spec, stream)

    def _open(self, spec: StreamSpec) -> PresetStream:
        stream = self._stream
        if stream is None or (stream.sample_rate, stream.channels) != (spec.sample_rate, spec.channels):
            model = self._model or load_model(self.preset.model)
            self._stream = stream = PresetStream(self.preset, model, spec.sample_rate, spec.channels)
        self._dry = Delay(spec.channels, stream.latency_samples)
        return stream

    def _begin(self, spec: StreamSpec, stream: PresetStream) -> None:
        self._spec = spec
        stream.reset()
        self._dry.reset()
        self._to_withhold = stream.latency_samples
        self._sum = AlignedSum(spec, self._strips.values())
        self._measure(stream)

    def _measure(self, stream: PresetStream) -> None:
        slowest = max((strip.latency_samples for strip in self._strips.values()), default=0)
        self.latency_samples = stream.latency_samples + slowest

    def push(self, samples: Audio) -> Audio:
        """Take any number of samples; return those that are ready."""
        assert self._stream is not None, "push() before start()"
        for name, part in self._separate(samples).items():
            self._add(name, self._strips[name].push(part))
        self._measure(self._stream)
        return self._sum.take()

    def _add(self, name: str, ready: Audio) -> None:
        self._sum.add(self._strips[name], ready * np.float32(self._ducks[name]))

    def _separate(self, samples: Audio) -> dict[str, Audio]:
        """Return what is ready of each strip's input, in place."""
        assert self._stream is not None
        late, dry = self._stream.process(samples), self._dry.process(samples)
        withheld = min(self._to_withhold, samples.shape[1])
        self._to_withhold -= withheld
        late, dry = late[..., withheld:], dry[:, withheld:]
        self._sum.expect(dry.shape[1])
        parts = {stem.name: part for stem, part in zip(self.preset.stems, late, strict=True)}
        parts[REST] = dry - late.sum(0)
        return {name: parts[name] for name in self._strips}

    def drain(self) -> Audio:
        """Return what is still inside, chains included; then all is as just started."""
        assert self._stream is not None and self._spec is not None, "drain() before start()"
        last = self._separate(self._spec.zeros(self._stream.latency_samples))
        for name, strip in self._strips.items():
            self._add(name, join([strip.push(last[name]), strip.drain()]))
        rest = self._sum.take()
        self._begin(self._spec, self._stream)
        return rest

    def clear(self) -> None:
        """Forget all audio in every strip."""
        if self._spec is not None:
            for strip in self._strips.values():
                strip.clear()
            assert self._stream is not None
            self._begin(self._spec, self._stream)

    def __repr__(self) -> str:
        """Show the preset."""
        return f"Remix({self.preset.name!r})"
