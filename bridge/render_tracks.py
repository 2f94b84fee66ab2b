"""The output files of a render while it runs: written, metered and kept in line with the mix."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from soundlasso.bridge.audiofile_format import OutputFormat
from soundlasso.bridge.audiofile_write import AudioWriter
from soundlasso.bridge.export.bext import Loudness
from soundlasso.bridge.render_result import StemResult
from soundlasso.dsp.loudness import LoudnessMeter
from soundlasso.dsp.metrics import level_db

Audio = npt.NDArray[np.float32]


class Track:
    """One stem or the rest on its way to its file, if it has one.

    Parameters
    ----------
    query
        The stem's; None for the rest.
    writer
        Where it goes; None when it is only measured.
    output
        Its rate and channels.
    name
        What it is called, if not by its query.
    """

    def __init__(
        self, query: str | None, writer: AudioWriter | None, output: OutputFormat, name: str | None = None
    ) -> None:
        self.query = query
        self.name = name
        self.writer = writer
        self.is_exact = output.is_exact
        self._meter = LoudnessMeter(output.sample_rate, output.channels)
        self._peak = 0.0
        self.true_peak_dbtp: float | None = None  # known only where a ceiling is asked for

    def take(self, block: Audio) -> Audio:
        """Write and measure a block; return it as the file holds it.

        Shape: ``(channels, samples)``, both.
        """
        if self.writer is not None:
            block = self.writer.write(block)
        self._meter.process(block)
        self._peak = max(self._peak, float(np.abs(block).max(initial=0.0)))
        return block

    def finish(self) -> None:
        """Do nothing: each block was written as it came."""

    def stamp(self) -> None:
        """Put the loudness of all that came into the file's time stamp, if it has one."""
        if self.writer is None or self.writer.broadcast is None:
            return
        meter = self._meter
        loudness = Loudness(
            meter.integrated_lufs,
            meter.range_lu,
            self.true_peak_dbtp,
            momentary_lufs=meter.momentary_lufs,
            short_term_lufs=meter.short_term_lufs,
        )
        self.writer.broadcast = dataclasses.replace(self.writer.broadcast, loudness=loudness)

    def result(self, presence: float | None) -> StemResult:
        """Describe the track, finished."""
        return StemResult(
            self.query,
            None if self.writer is None else self.writer.path,
            level_db(self._peak),
            self._meter.integrated_lufs,
            presence,
            0 if self.writer is None else self.writer.clipped_samples,
            self.name,
        )


class StemStream(Protocol):
    """What gives the stems of a mix, block by block, late: a `SeparationStream`, for one."""

    channels: int
    latency_samples: int

    @property
    def presence(self) -> npt.NDArray[np.float64]:
        """How surely each stem is there now.  Shape: ``(stems,)``."""
        ...

    @property
    def frame_rate(self) -> float:
        """How often presence is found, in Hz."""
        ...

    def take_presence(self) -> npt.NDArray[np.float64]:
        """Return the presence at each frame since this was last called.  Shape: ``(stems, frames)``."""
        ...

    def process(self, block: Audio) -> Audio:
        """Shape: ``(channels, n)`` -> ``(stems, channels, n)``."""
        ...

    def flush(self) -> Audio:
        """Return the last ``latency_samples`` of each stem."""
        ...


class OpenTrack(Protocol):
    """Something that opens a track for a query, with a file at a path."""

    def __call__(self, query: str | None, path: Path | None, name: str | None = None) -> Track:
        """Open it."""
        ...


class Tracks:
    """All tracks of a mix, whose rest is the mix less the stems *as their files hold them*.

    So the files add up to the mix: to the last bit of float32, or exactly when stems and mix share an
    integer format and nothing clips.

    Parameters
    ----------
    stems
        In the order of the queries.
    rest
        None when it is not wanted.
    """

    def __init__(self, stems: list[Track], rest: Track | None) -> None:
        self.stems = stems
        self.rest = rest
        self._worst = 0.0

    def take(self, mix: Audio, stems: Audio) -> None:
        """Take the next samples of the mix, and of the stems in them.

        Shape: mix ``(channels, samples)``, stems ``(queries, channels, samples)``.
        """
        total = np.zeros(mix.shape)
        for track, stem in zip(self.stems, stems, strict=True):
            total += track.take(stem)
        if self.rest is not None:
            total += self.rest.take((mix - total).astype(np.float32))
            self._worst = max(self._worst, float(np.abs(mix - total).max(initial=0.0)))

    mixdown = None  # no sum is written: it would be the mix
    notes: tuple[str, ...] = ()

    def finish(self) -> None:
        """Do nothing: each block was written as it came."""

    @property
    def tracks(self) -> list[Track]:
        """The stems, and the rest if it is wanted."""
        return [*self.stems, *([self.rest] if self.rest else [])]

    @property
    def writers(self) -> list[AudioWriter]:
        """The files in the making."""
        return [track.writer for track in self.tracks if track.writer is not None]

    @property
    def null_db(self) -> float | None:
        """The largest error of the sum so far, in dBFS; None without a rest, and where files are lossy."""
        return level_db(self._worst) if self.rest is not None and self.rest.is_exact else None

    def results(self, presence: Sequence[float]) -> tuple[tuple[StemResult, ...], StemResult | None]:
        """Describe the stems, each with how surely it was there on the whole, and the rest."""
        stems = tuple(track.result(mean) for track, mean in zip(self.stems, presence, strict=True))
        return stems, None if self.rest is None else self.rest.result(None)


def aligned(stream: StemStream, blocks: Iterable[Audio]) -> Iterator[tuple[Audio, Audio]]:
    """Run a mix through a stream and take out the stream's latency.

    Parameters
    ----------
    stream
        As new.
    blocks
        The mix in order. Shape of each: ``(channels, samples)``.

    Yields
    ------
    (numpy.ndarray, numpy.ndarray)
        Samples of the mix, and the stems in those very samples: as many in all as there were in the mix.
        Shape: ``(channels, samples)`` and ``(queries, channels, samples)``.
    """
    held = np.zeros((stream.channels, 0), np.float32)
    early = stream.latency_samples
    for block in blocks:
        held = np.concatenate([held, block], axis=1)
        stems = stream.process(block)
        dropped = min(early, stems.shape[2])
        early -= dropped
        stems = stems[:, :, dropped:]
        yield held[:, : stems.shape[2]], stems
        held = held[:, stems.shape[2] :]
    yield held, stream.flush()[:, :, early:]
