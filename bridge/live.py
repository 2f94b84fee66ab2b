"""Effects on live audio: the audio thread never waits, and what comes late is replaced in place.

Everything is addressed by its absolute position, in samples since the start:

    input ring      written by the audio thread,  read by the worker
    output ring     written by the worker,        read by the audio thread, `latency_samples` later

The audio thread only copies.  If the worker has not delivered a position in time, the thread plays the
input of that position instead, so the sound may fall back to dry for a block, but never slips in time.
"""

import contextlib
import gc
import math
import queue
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from soundlasso.bridge.effect import Audio, Effect, StreamSpec
from soundlasso.dsp.errors import SoundlassoError
from soundlasso.dsp.samples import first_unusable, is_usable

MAX_BLOCK = 8192
DEFAULT_HOP_SAMPLES = 1024
HOPS_OF_LATENCY = 4  # fewer gave late blocks on a busy machine
FREEWHEEL_TIMEOUT_S = 10.0
_SWITCH_INTERVAL_S = 0.0005


class LiveError(SoundlassoError, RuntimeError):
    """Live audio that cannot start, or that ended by itself."""


class Ring:
    """Audio by absolute position; it holds the last `capacity` positions.

    Positions that were never written are silent.
    """

    def __init__(self, channels: int, capacity: int) -> None:
        self.capacity = capacity
        self._held = np.zeros((channels, capacity), np.float32)

    def write(self, position: int, samples: Audio) -> None:
        """Store samples from `position` on."""
        at = position % self.capacity
        first = min(samples.shape[1], self.capacity - at)
        self._held[:, at : at + first] = samples[:, :first]
        self._held[:, : samples.shape[1] - first] = samples[:, first:]

    def read(self, position: int, out: Audio) -> None:
        """Fill `out` with the samples from `position` on."""
        at = position % self.capacity
        first = min(out.shape[1], self.capacity - at)
        out[:, :first] = self._held[:, at : at + first]
        out[:, first:] = self._held[:, : out.shape[1] - first]


class LiveEngine:
    """Play an effect live: blocks in, blocks out, a fixed number of samples later.

    Parameters
    ----------
    effect
        What to play, a board as a rule; it may be edited and set while it plays.
    sample_rate, channels
        Of the audio, in Hz.
    latency_samples
        From input to output; None takes the effect's own and four hops.
    hop_samples
        How many samples the worker takes at a time.

    Attributes
    ----------
    late_blocks
        Blocks so far that the worker did not deliver in time; they were played dry, in place.
    repaired_blocks
        Hops that held samples that are NaN, infinite or beyond 1e12, which were silenced.

    Raises
    ------
    LiveError
        The latency is less than the effect needs.
    """

    def __init__(
        self,
        effect: Effect,
        sample_rate: float,
        channels: int,
        *,
        latency_samples: int | None = None,
        hop_samples: int = DEFAULT_HOP_SAMPLES,
    ) -> None:
        if hop_samples < 1:
            raise LiveError(f"a hop of {hop_samples!r} samples is impossible; give 1 or more")
        self.effect, self.hop_samples, self.channels = effect, hop_samples, channels
        self._spec = StreamSpec(sample_rate, channels, hop_samples)
        effect.start(self._spec)
        usual = effect.latency_samples + HOPS_OF_LATENCY * hop_samples
        self.latency_samples = usual if latency_samples is None else latency_samples
        self._check_latency()
        capacity = 4 * (self.latency_samples + hop_samples + MAX_BLOCK)
        self._input, self._output = Ring(channels, capacity), Ring(channels, capacity)
        self._taken = self._fed = self._done = 0
        self._valid_from = -self.latency_samples  # silence before the start is valid too
        self.late_blocks = self.repaired_blocks = 0
        self._busy_s = 0.0
        self._started_s = time.monotonic()
        self._closing = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._progress = threading.Condition()
        self._pool = ThreadPoolExecutor(1, "soundlasso-live")
        self._worker: Future[None] = self._pool.submit(self._work)

    @property
    def needed_samples(self) -> int:
        """The least latency at which no block is late by design."""
        return self.effect.latency_samples + self.hop_samples - 1

    def _check_latency(self) -> None:
        if self.latency_samples < self.needed_samples:
            told, needed = (self._tell(count) for count in (self.latency_samples, self.needed_samples))
            raise LiveError(
                f"a latency of {told} is too short: the effect and one hop need {needed}; "
                "a smaller hop needs less"
            )

    def _tell(self, samples: int) -> str:
        """Say how long, in milliseconds rounded up, so that what is told to be enough is."""
        return f"{math.ceil(10_000 * samples / self._spec.sample_rate) / 10:g} ms ({samples} samples)"

    # The audio thread.

    def exchange(self, block: Audio, out: Audio, wait_s: float = 0.0) -> None:
        """Take a block and fill `out` with the one due; on the audio thread, with `wait_s` 0.

        `wait_s` is for rendering faster than real time: the call then waits for the worker that long.

        Shape: both (channels, n), n up to 8192.
        """
        self._input.write(self._taken, block)
        self._taken += block.shape[1]
        self._wake.put(None)
        end = self._taken - self.latency_samples
        if wait_s > 0:
            self._wait_for(end, wait_s)
        due = end - block.shape[1]
        if self._valid_from <= due and end <= self._done:
            self._output.read(due, out)
        else:
            self._input.read(due, out)
            self.late_blocks += 1

    def _wait_for(self, end: int, wait_s: float) -> None:
        with self._progress:
            self._progress.wait_for(lambda: self._done >= end or self._worker.done(), wait_s)

    # The worker.

    def _work(self) -> None:
        try:
            while not self._closing:
                self._wake.get()
                while self._taken - self._fed >= self.hop_samples and not self._closing:
                    self._step()
        finally:
            with self._progress:
                self._progress.notify_all()

    def _step(self) -> None:
        began = time.thread_time()
        if self._taken - self._fed > self._input.capacity // 2:
            self._skip()
        hop = self._spec.zeros(self.hop_samples)
        self._input.read(self._fed, hop)
        if first_unusable(hop) is not None:
            hop[~is_usable(hop)] = 0
            self.repaired_blocks += 1
        ready = self.effect.push(hop)
        self._output.write(self._done, ready)
        self._fed += self.hop_samples
        self._busy_s += time.thread_time() - began
        with self._progress:
            self._done += ready.shape[1]
            self._progress.notify_all()

    def _skip(self) -> None:
        """Give up what the audio thread is about to overwrite, and go on with the present."""
        self.effect.start(self._spec)
        self._fed = self._valid_from = self._done = self._taken - self.hop_samples

    # Everyone else.

    @property
    def error(self) -> BaseException | None:
        """What ended the worker; from then on the audio is dry."""
        return self._worker.exception() if self._worker.done() else None

    @property
    def cpu_share(self) -> float:
        """How much of one processor the effect has used since the start, 0 to 1."""
        return self._busy_s / max(time.monotonic() - self._started_s, 1e-9)

    @property
    def seconds(self) -> float:
        """How much audio was taken."""
        return self._taken / self._spec.sample_rate

    def close(self) -> None:
        """Stop the worker; may be called any number of times."""
        self._closing = True
        self._wake.put(None)
        self._pool.shutdown()

    def __enter__(self) -> "LiveEngine":
        """Return the engine."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the worker."""
        self.close()


@contextlib.contextmanager
def calm_python() -> Iterator[None]:
    """Keep Python's own pauses short while audio plays: no garbage collection, quick thread switches."""
    interval = sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.enable()
        gc.unfreeze()
