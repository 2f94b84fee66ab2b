"""Native pedalboard plugins as effects: block size fixed, latency measured, nothing lost.

pedalboard does not say how late a built-in plugin is, and some of them lose audio in a stream:

* a call with a longer block than any before prepares a plugin again and clears its state, so each is
  made to see one longest block first;
* `Resample` and `MP3Compressor` drop samples when the block size changes from call to call, so plugins
  like these are fed blocks of one fixed size.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pedalboard
from pedalboard import Chain, Plugin, PluginContainer
from pedalboard_native import ExternalPlugin

from soundlasso.bridge.effect import AlignedEffect, Audio, StreamSpec, join

FIXED_BLOCK = 64
# Lengths that differ and share no factor: a plugin whose delay depends on them shows it here.
_PROBE_BLOCKS = (1, 37, 1021, 2, 509, 4099, 64, 3)
_PROBE_SAMPLES = 20_000
_GIVE_UP_SECONDS = 10

_CANNOT_STREAM = {
    pedalboard.PitchShift: "it falls silent after the first half second of a stream (pedalboard issue 415)",
    pedalboard.GSMFullRateCompressor: "its output depends on how the stream is cut",
}
_NEVER_LATE = frozenset(
    (
        pedalboard.Bitcrush,
        pedalboard.Chorus,
        pedalboard.Clipping,
        pedalboard.Compressor,
        pedalboard.Convolution,
        pedalboard.Delay,
        pedalboard.Distortion,
        pedalboard.Gain,
        pedalboard.HighShelfFilter,
        pedalboard.HighpassFilter,
        pedalboard.Invert,
        pedalboard.LadderFilter,
        pedalboard.Limiter,
        pedalboard.LowShelfFilter,
        pedalboard.LowpassFilter,
        pedalboard.NoiseGate,
        pedalboard.PeakFilter,
        pedalboard.Phaser,
        pedalboard.Reverb,
    )
)


def walk(plugin: Plugin | None) -> Iterator[Plugin]:
    """Yield a plugin and, if it is a container, everything inside."""
    if plugin is None:
        return
    yield plugin
    if isinstance(plugin, PluginContainer):
        for inner in plugin:
            yield from walk(inner)


def is_never_late(plugin: Plugin) -> bool:
    """Tell whether a plugin is of a kind that never delays its output."""
    return all(type(part) in _NEVER_LATE or isinstance(part, PluginContainer) for part in walk(plugin))


def check_streams(plugin: Plugin, spec: StreamSpec) -> None:
    """Refuse what pedalboard cannot stream.

    Raises
    ------
    RuntimeError
        With the reason; a whole signal can still be processed.
    """
    for part in walk(plugin):
        reason = _CANNOT_STREAM.get(type(part))
        if isinstance(part, pedalboard.Mix) and any(_is_late(branch, spec) for branch in part if branch):
            reason = "pedalboard misaligns a native Mix of late plugins; use soundlasso.Mix"
        if reason:
            raise RuntimeError(
                f"{type(part).__name__} cannot stream: {reason}; process the whole signal at once"
            )


def _is_late(plugin: Plugin, spec: StreamSpec) -> bool:
    if is_never_late(plugin):
        return False
    trial = wrap(plugin)
    trial.start(spec)
    return trial.latency_samples > 0


class Native(AlignedEffect):
    """One native plugin, or native container, as an effect that can stream.

    `steady` says that it gives a block for a block once its latency has passed, whatever their sizes;
    neighbours like that can run as one (`NativeRun`).
    """

    steady = True
    _taken = _given = 0

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self._board = Chain([plugin])
        self._never_late = is_never_late(plugin)
        self._whole: NativeWhole | None = None

    def start(self, spec: StreamSpec) -> None:
        """Fix the block size and measure the latency.

        Raises
        ------
        RuntimeError
            The plugin cannot stream; the text says why.
        """
        check_streams(self.plugin, spec)
        self._adopt(spec)
        self._prime(spec)

    def _adopt(self, spec: StreamSpec) -> None:
        self._spec = spec
        self.max_block = max(spec.max_block, FIXED_BLOCK, spec.channels + 1)
        self.latency_samples, self.steady = 0, True
        self._forget(spec)

    def _forget(self, spec: StreamSpec) -> None:
        self._taken = self._given = 0
        self._held = spec.zeros(0)

    def _prime(self, spec: StreamSpec) -> None:
        self._native(spec.zeros(self.max_block), reset=True)
        self.clear()
        if self._never_late:
            return
        delays = self._probe(spec, (self.max_block, *_PROBE_BLOCKS)) | self._probe(spec, _PROBE_BLOCKS)
        self.latency_samples, self.steady = max(delays), len(delays) == 1
        if not self.steady:
            # One block waits to be filled; resampling creeps by a few samples over minutes.
            self.latency_samples = max(self._probe(spec, (FIXED_BLOCK,))) + 2 * FIXED_BLOCK

    def _probe(self, spec: StreamSpec, lengths: Sequence[int]) -> set[int]:
        """Feed silence in blocks of these lengths; return by how many samples the output was behind."""
        fed = got = 0
        delays = set()
        for n in itertools.cycle(lengths):
            fed += n
            got += self._native(spec.zeros(n)).shape[1]
            if got:
                delays.add(fed - got)
            if got and fed >= _PROBE_SAMPLES:
                break
            self._check_answers(fed, got, spec)
        self.clear()
        return delays

    def _check_answers(self, fed: int, got: int, spec: StreamSpec) -> None:
        if not got and fed > _GIVE_UP_SECONDS * spec.sample_rate + self.max_block:
            raise RuntimeError(f"{self.plugin!r} cannot stream: it takes {fed} samples and returns none")

    def _native(self, samples: Audio, *, reset: bool = False) -> Audio:
        assert self._spec is not None, "audio before start()"
        teach_layout(self._board, samples, self._spec)
        return self._board.process(samples, self._spec.sample_rate, self.max_block, reset)

    def push(self, samples: Audio) -> Audio:
        """Take any number of samples; return those that are ready."""
        if not samples.shape[1]:
            return samples
        ready = self._feed(samples)
        self._taken += samples.shape[1]
        self._given += ready.shape[1]
        return ready

    def _feed(self, samples: Audio) -> Audio:
        if self.steady:
            return self._native(samples)
        held = join([self._held, samples])
        whole = held.shape[1] - held.shape[1] % FIXED_BLOCK
        self._held = held[:, whole:]
        blocks = [held[:, at : at + FIXED_BLOCK] for at in range(0, whole, FIXED_BLOCK)]
        return join([self._native(block) for block in blocks] or [held[:, :0]])

    def count(self, taken: int) -> int:
        """Note that a `NativeRun` pushed samples through; return how many came out (steady plugins only)."""
        self._taken += taken
        given = max(0, self._taken - self.latency_samples) - self._given
        self._given += given
        return given

    def drain(self) -> Audio:
        """Return what is still inside; then the plugin is as just started."""
        assert self._spec is not None, "drain() before start()"
        missing = self._taken - self._given
        parts = [self._spec.zeros(0)]
        while (got := sum(part.shape[1] for part in parts)) < missing:
            parts.append(self.push(self._spec.zeros(max(missing - got, FIXED_BLOCK))))
        self.clear()
        return join(parts)[:, :missing]

    def clear(self) -> None:
        """Put the plugin back as just started; its longest block stays known."""
        assert self._spec is not None, "clear() before start()"
        self._native(self._spec.zeros(0), reset=True)
        self._forget(self._spec)

    def render(self, samples: Audio, spec: StreamSpec) -> Audio:
        """Process a whole signal, by pedalboard alone."""
        if self._whole is None:
            self._whole = NativeWhole([self])
        return self._whole.render(samples, spec)

    def go_on(self, spec: StreamSpec) -> None:
        """After a whole signal: take the plugin as it is for a stream, if it is never late."""
        if self._never_late and (spec is self._spec or spec == self._spec):
            self._taken = self._given = 0
        elif self._never_late:
            self._adopt(spec)
            self.max_block = spec.max_block
        else:
            self.begin_anew()

    def begin_anew(self) -> None:
        """Have the next stream start from nothing."""
        self._spec = None

    def __repr__(self) -> str:
        """Show the plugin."""
        return f"Native({self.plugin!r})"


class External(Native):
    """A plugin from a file: reset first, for the noise of its load test stays in it until then."""

    def _prime(self, spec: StreamSpec) -> None:
        self.steady = False
        self.clear()

    def clear(self) -> None:
        """Put the plugin back as just started."""
        assert self._spec is not None, "clear() before start()"
        self.plugin.reset()
        fed = got = 0
        while got == 0 or fed < self.max_block:
            got += self._native(self._spec.zeros(self.max_block)).shape[1]
            fed += self.max_block
            self._check_answers(fed, got, self._spec)
        self.latency_samples = self._to_withhold = fed - got
        self._forget(self._spec)

    def _feed(self, samples: Audio) -> Audio:
        late = self._native(samples)
        withheld = min(self._to_withhold, late.shape[1])
        self._to_withhold -= withheld
        return late[:, withheld:]


class NativeRun:
    """Steady plugins in a row as one native board: one call into C++ for all of them."""

    def __init__(self, members: Sequence[Native], spec: StreamSpec) -> None:
        self._late = tuple(member for member in members if member.latency_samples)
        self._spec = spec
        self._max_block = min(member.max_block for member in members)
        self._board = Chain([member.plugin for member in members])

    def push(self, samples: Audio) -> Audio:
        """Take any number of samples; return those that are ready."""
        flowing = samples.shape[1]
        if not flowing:
            return samples
        for member in self._late:  # in the others nothing ever waits
            flowing = member.count(flowing)
        teach_layout(self._board, samples, self._spec)
        return self._board.process(samples, self._spec.sample_rate, self._max_block, False)


class NativeWhole:
    """Plugins in a row for whole signals: pedalboard's own board, kept from one call to the next."""

    def __init__(self, members: Sequence[Native]) -> None:
        self._members = tuple(members)
        self._heard = StreamSpec(0, 0, 0)
        self._board: Chain | None = None

    def render(self, samples: Audio, spec: StreamSpec) -> Audio:
        """Process a whole signal, by one call of pedalboard's own."""
        if not samples.shape[1]:  # some plugins end the process with a division by zero
            for member in self._members:
                member.begin_anew()
            return samples
        board = self._board_of(samples, spec)
        done = board.process(samples, spec.sample_rate, spec.max_block, True)
        heard = self._prepared_for(spec, min(spec.max_block, samples.shape[1]))
        for member in self._members:
            if member._taken or member._spec is not heard:
                member.go_on(heard)
        return done

    def _board_of(self, samples: Audio, spec: StreamSpec) -> Chain:
        if self._board is None or self._heard.channels != spec.channels:  # it remembers the channels
            self._board = Chain([member.plugin for member in self._members])
            teach_layout(self._board, samples, spec, reset=True)
        return self._board

    def _prepared_for(self, spec: StreamSpec, longest: int) -> StreamSpec:
        """Return what the plugins are prepared for now: the same object while it is the same."""
        known = self._heard
        if (known.sample_rate, known.channels, known.max_block) != (spec.sample_rate, spec.channels, longest):
            self._heard = replace(spec, max_block=longest)
        return self._heard


def teach_layout(board: Chain, samples: Audio, spec: StreamSpec, *, reset: bool = False) -> None:
    """Before very few samples come, show a chain which axis is the channels.

    Without `reset` its plugins are prepared already, and keep their state.
    """
    if not 0 < samples.shape[1] <= spec.channels:
        return
    if reset:
        board.process(spec.zeros(spec.channels + 1), spec.sample_rate, spec.max_block, True)
    else:
        board.process(spec.zeros(0), spec.sample_rate, 1, False)


def wrap(plugin: Plugin) -> Native:
    """Return a native plugin as an effect."""
    return External(plugin) if isinstance(plugin, ExternalPlugin) else Native(plugin)
