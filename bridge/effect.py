"""The base of every effect: write three methods, get pedalboard's whole surface.

A subclass writes `prepare`, `block` and `clear`.  `block` returns as many samples as it gets,
`latency_samples` late; that is all it has to know about streaming.  Everything a board and a user call
is built on it here: `push` hands out only what is ready, so its output lines up with its input sample
by sample, and `drain` fetches what is still inside.
"""

import abc
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from soundlasso.bridge.audiofile import AudioReader
from soundlasso.bridge.audiofile_format import choose_format
from soundlasso.bridge.audiofile_write import AudioWriter
from soundlasso.bridge.layout import Layout
from soundlasso.dsp.errors import AudioError
from soundlasso.dsp.samples import check_samples

Audio = npt.NDArray[np.float32]

DEFAULT_BUFFER_SIZE = 8192


@dataclass(frozen=True)
class StreamSpec:
    """What a stream keeps from its first block to its last."""

    sample_rate: float
    channels: int
    max_block: int

    def zeros(self, samples: int) -> Audio:
        """Return silence of this many samples."""
        return np.zeros((self.channels, samples), np.float32)

    def blocks(self, samples: Audio) -> Iterator[Audio]:
        """Cut audio into pieces of at most `max_block` samples."""
        for start in range(0, samples.shape[1], self.max_block):
            yield samples[:, start : start + self.max_block]


class Effect(abc.ABC):
    """An effect for a `Board`, with the surface of a pedalboard plugin.

    A subclass writes

    * `prepare(sample_rate, channels, max_block)`: get ready for a new stream; may set `latency_samples`,
    * `block(samples)`: (channels, n) -> (channels, n), `latency_samples` late, n up to `max_block`;
      it may return its argument but never writes into it,
    * `clear()`: forget all audio, as just prepared.

    Laws: `process(x, reset=True)` returns as many samples as it gets, in place; the outputs of
    `process(part, reset=False)` for any cutting of x, and of `flush()`, are the same samples.

    One stream belongs to one thread at a time.
    """

    latency_samples: int = 0
    is_effect = True
    is_instrument = False

    _spec: StreamSpec | None = None
    _asked = StreamSpec(0, 0, 0)
    _layout: Layout | None = None
    _to_withhold = 0

    # What a subclass writes; without state, block() is enough.

    def prepare(self, sample_rate: float, channels: int, max_block: int) -> None:  # noqa: B027
        """Get ready for a new stream."""

    @abc.abstractmethod
    def block(self, samples: Audio) -> Audio:
        """Process one block: as many samples out as in, `latency_samples` late."""

    def clear(self) -> None:  # noqa: B027
        """Forget all audio."""

    def inside(self) -> Iterable[object]:
        """Return the effects that this one contains, for a board to find one that is there twice."""
        return ()

    # What a board calls.

    def start(self, spec: StreamSpec) -> None:
        """Begin a new stream."""
        self.prepare(spec.sample_rate, spec.channels, spec.max_block)
        self._spec, self._to_withhold = spec, self.latency_samples

    def push(self, samples: Audio) -> Audio:
        """Take any number of samples; return those that are ready, the first in being the first out."""
        assert self._spec is not None, "push() before start()"
        done = [self._checked_block(part) for part in self._spec.blocks(samples)]
        late = np.concatenate(done, axis=1) if done else samples
        withheld = min(self._to_withhold, late.shape[1])
        self._to_withhold -= withheld
        return late[:, withheld:]

    def drain(self) -> Audio:
        """Return what is still inside, as if silence followed; then the effect is as just started."""
        assert self._spec is not None, "drain() before start()"
        rest = self.push(self._spec.zeros(self.latency_samples))
        self.clear()
        self._to_withhold = self.latency_samples
        return rest

    def render(self, samples: Audio, spec: StreamSpec) -> Audio:
        """Process a whole signal; an effect without latency can then go on where it ended."""
        self.start(spec)
        done = self.push(samples)
        return join([done, self.drain()]) if self.latency_samples else done

    def _checked_block(self, samples: Audio) -> Audio:
        out = self.block(samples)
        if out.shape != samples.shape:
            name = type(self).__name__
            raise RuntimeError(f"{name}.block returned shape {out.shape!r}; it was given {samples.shape!r}")
        return out

    # What a user calls: pedalboard's surface, and flush.

    def process(
        self,
        input_array: npt.NDArray[Any],
        sample_rate: float,
        buffer_size: int = DEFAULT_BUFFER_SIZE,
        reset: bool = True,
    ) -> Audio:
        """Process audio exactly as `pedalboard.Plugin.process` does.

        Parameters
        ----------
        input_array
            float32 or float64: (n,) mono, (channels, n) or (n, channels).
        sample_rate
            Hz.
        buffer_size
            The longest block, in samples.
        reset
            True: a whole signal; latency is compensated, as many samples come out as went in.
            False: the next part of a stream; the first calls return `latency_samples` fewer, which
            `flush()` hands out at the end.

        Returns
        -------
        A new float32 array in the layout of the input.

        Raises
        ------
        TypeError
            Not a float array, or a buffer size that is no positive integer.
        RuntimeError
            A shape that is not audio, or an effect that cannot stream.
        AudioError
            Samples that are NaN, infinite or beyond 1e12, or an impossible sample rate.
        """
        _check_call(sample_rate, buffer_size)
        if self._layout is None:
            self._layout = Layout()
        samples = self._layout.read(input_array)
        check_samples(samples)
        spec = self._spec_of(float(sample_rate), samples.shape[0], int(buffer_size))
        done = self._run(samples, spec, reset) if spec.channels else samples
        if np.may_share_memory(done, input_array):
            done = done.copy()
        return self._layout.write(done)

    __call__ = process

    def _spec_of(self, sample_rate: float, channels: int, max_block: int) -> StreamSpec:
        """Return what a call asks for; the same object as long as that is the same."""
        known = self._asked
        if (known.sample_rate, known.channels, known.max_block) != (sample_rate, channels, max_block):
            self._asked = StreamSpec(sample_rate, channels, max_block)
        return self._asked

    def _run(self, samples: Audio, spec: StreamSpec, reset: bool) -> Audio:
        if reset:
            return self.render(samples, spec)
        running = self._spec
        if running is None or (running.sample_rate, running.channels) != (spec.sample_rate, spec.channels):
            self.start(spec)
        return self.push(samples)

    def flush(self) -> Audio:
        """Return the samples still inside, in the layout of the last input; then a new stream begins."""
        if self._spec is None or self._layout is None:
            return np.zeros((0, 0), np.float32)
        return self._layout.write(self.drain())

    def reset(self) -> None:
        """Forget all audio, the stream and the channel layout."""
        if self._spec is not None:
            self.clear()
        self._spec = self._layout = None

    def stream(
        self,
        blocks: Iterable[npt.NDArray[Any]],
        sample_rate: float,
        *,
        buffer_size: int = DEFAULT_BUFFER_SIZE,
        tail_seconds: float = 0.0,
    ) -> Iterator[Audio]:
        """Process blocks as they come; yield what is ready, then the rest: no sample is lost.

        `tail_seconds` of silence are processed after the last block, to let a reverb ring out.
        """
        tail_samples = check_tail(tail_seconds, sample_rate)
        self.reset()
        yield from self._passed(blocks, sample_rate, buffer_size, tail_samples)

    def _passed(
        self, blocks: Iterable[npt.NDArray[Any]], sample_rate: float, buffer_size: int, tail_samples: int
    ) -> Iterator[Audio]:
        for samples in blocks:
            yield from _if_any(self.process(samples, sample_rate, buffer_size, reset=False))
        if self._spec is None or self._layout is None:
            return
        yield from _if_any(self._layout.write(self.push(self._spec.zeros(tail_samples))))
        yield from _if_any(self.flush())

    def process_file(
        self,
        src: str | os.PathLike[str],
        dst: str | os.PathLike[str],
        tail_seconds: float = 0.0,
        *,
        subtype: str = "same",
        overwrite: bool = False,
    ) -> None:
        """Process an audio file into another, which appears whole or not at all.

        Parameters
        ----------
        src
            Any audio file that soundlasso reads.
        dst
            Where to write; its ending is the format: wav, flac or ogg.
        tail_seconds
            Silence processed after the end, to let a reverb ring out.
        subtype
            The sample format, such as ``"PCM_24"``; ``"same"`` is that of `src`, where `dst` has it.
        overwrite
            Replace `dst` if it is there.

        Warns
        -----
        UserWarning
            Samples beyond full scale were clipped, and how many.

        Raises
        ------
        AudioFileError
            A file that cannot be read or written whole.
        """
        dst = Path(dst)
        with AudioReader(src) as reader:
            rate = reader.info.sample_rate
            tail_samples = check_tail(tail_seconds, rate)
            frames = reader.frames + tail_samples
            kind = choose_format(reader.info, frames, format=dst.suffix[1:].lower(), subtype=subtype)
            with AudioWriter(dst, kind, overwrite=overwrite) as writer:
                self.reset()
                self._layout = Layout(kind.channels)  # of a file as short as 2 by 2 samples nobody could tell
                for done in self._passed(reader.blocks(), rate, DEFAULT_BUFFER_SIZE, tail_samples):
                    writer.write(done)
        if writer.clipped_samples:
            told = f"{writer.clipped_samples} samples of {str(dst)!r} were beyond full scale and clipped"
            warnings.warn(told, stacklevel=2)

    def __repr__(self) -> str:
        """Show how to make it."""
        return f"{type(self).__name__}()"


class AlignedEffect(Effect):
    """An effect that is written the other way round: `start`, `push`, `drain`, `clear`, and gets `block`.

    For effects made of others, whose samples line up by themselves when each part withholds its latency.
    """

    @abc.abstractmethod
    def start(self, spec: StreamSpec) -> None:
        """Begin a new stream."""

    @abc.abstractmethod
    def push(self, samples: Audio) -> Audio:
        """Take any number of samples; return those that are ready."""

    @abc.abstractmethod
    def drain(self) -> Audio:
        """Return what is still inside; then the effect is as just started."""

    def prepare(self, sample_rate: float, channels: int, max_block: int) -> None:
        """Begin a new stream; the same as `start`."""
        self.start(StreamSpec(sample_rate, channels, max_block))
        self._late = np.zeros((channels, self.latency_samples), np.float32)

    def block(self, samples: Audio) -> Audio:
        """Process a block into as many samples, `latency_samples` late."""
        ready = join([self._late, self.push(samples)])
        missing = samples.shape[1] - ready.shape[1]
        if missing > 0:  # a late effect was put in while all played
            ready = np.pad(ready, ((0, 0), (missing, 0)))
        self._late = ready[:, samples.shape[1] :]
        return ready[:, : samples.shape[1]]


def join(parts: list[Audio]) -> Audio:
    """Concatenate in time, without a copy when only one part has samples."""
    full = [part for part in parts if part.shape[1]]
    return full[0] if len(full) == 1 else np.concatenate(full or parts[:1], axis=1)


def check_tail(tail_seconds: float, sample_rate: float) -> int:
    """Return the tail in samples."""
    if not 0 <= tail_seconds < np.inf:
        raise AudioError(f"a tail of {tail_seconds!r} seconds is impossible; give 0 or more")
    return round(tail_seconds * sample_rate)


def _check_call(sample_rate: float, buffer_size: int) -> None:
    # pedalboard takes a negative size for a wrong type too; with 0 it never returns.
    if not isinstance(buffer_size, (int, np.integer)) or buffer_size < 0:
        raise TypeError(f"buffer_size is {buffer_size!r}; it must be a positive integer")
    if buffer_size == 0:
        raise ValueError("buffer_size is 0; it must be at least 1")
    if isinstance(sample_rate, str) or not hasattr(sample_rate, "__float__"):
        raise TypeError(f"sample_rate is {sample_rate!r}; it must be a number of Hz")
    if not 0 < sample_rate < np.inf:
        raise AudioError(f"sample_rate is {sample_rate!r}; it must be above 0 Hz")


def _if_any(audio: Audio) -> Iterator[Audio]:
    if audio.size:
        yield audio
