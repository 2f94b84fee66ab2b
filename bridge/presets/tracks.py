"""The files of a preset while it is rendered: strips, their sum, other rates, and a rest that adds up."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import soxr

from soundlasso.bridge.audiofile_format import OutputFormat
from soundlasso.bridge.audiofile_write import AudioWriter
from soundlasso.bridge.board import Board
from soundlasso.bridge.effect import StreamSpec, join
from soundlasso.bridge.mix import AlignedSum
from soundlasso.bridge.presets.chains import make_items
from soundlasso.bridge.presets.mastering import Master
from soundlasso.bridge.presets.preset import MIX, REST, Preset, Strip
from soundlasso.bridge.presets.remix import duck_gain, make_strip
from soundlasso.bridge.render_result import StemResult
from soundlasso.bridge.render_tracks import Track
from soundlasso.dsp.metrics import level_db

Audio = npt.NDArray[np.float32]


def resampled_frames(frames: int, from_rate: int, to_rate: int) -> int:
    """Return how many samples last as long at another rate: at least one, as an empty file is none."""
    return frames if from_rate == to_rate else max(1, round(frames * to_rate / from_rate))


class Ending:
    """The end of a lane: another rate if one is asked for, then a track.

    soxr puts output sample k at time k / rate, whatever the blocks; only its very end may differ by a
    sample from the length that the file is to have.
    """

    def __init__(self, track: "Track | Master", mix_rate: int, output: OutputFormat) -> None:
        self.track = track
        self.is_exact = mix_rate == output.sample_rate
        self._missing, self._channels = output.frames, output.channels
        if not self.is_exact:
            self._rate = soxr.ResampleStream(mix_rate, output.sample_rate, output.channels, "float32", "VHQ")

    def take(self, block: Audio) -> Audio:
        """Write a block; return it as the file holds it, unless its rate is another one."""
        if self.is_exact:
            return self.track.take(block)
        if block.shape[1]:
            self._give(self._rate.resample_chunk(np.ascontiguousarray(block.T)).T)
        return block

    def finish(self) -> None:
        """Write what soxr still holds."""
        if not self.is_exact:
            last = self._rate.resample_chunk(np.zeros((0, self._channels), np.float32), last=True).T
            self._give(np.pad(last, ((0, 0), (0, max(0, self._missing - last.shape[1])))))
        self.track.finish()

    def _give(self, block: Audio) -> None:
        block = block[:, : self._missing]
        self._missing -= block.shape[1]
        self.track.take(np.ascontiguousarray(block))


class Lane:
    """A strip on its way to its file, if it has one, and to the mix."""

    def __init__(self, strip: Strip, spec: StreamSpec, ending: Ending | None) -> None:
        self.board = make_strip(strip)
        self.board.start(spec)
        self.duck = np.float32(duck_gain(strip))
        self.ending = ending
        # Then the rest is the mix less what the file holds, rounding included.
        self.is_held = ending is not None and ending.is_exact and strip.is_neutral

    def push(self, samples: Audio) -> Audio:
        """Take samples of the separation; return those that are through, as the file holds them."""
        return self._write(self.board.push(samples))

    def drain(self) -> Audio:
        """Return what was still inside, and finish the file."""
        done = self._write(self.board.drain())
        if self.ending is not None:
            self.ending.finish()
        return done

    def _write(self, done: Audio) -> Audio:
        return done if self.ending is None else self.ending.take(done)


class PresetTracks:
    """All tracks of a preset, from the samples of its stems; the rest is what the stems leave of the mix.

    Parameters
    ----------
    preset
        What becomes of each stem.
    spec
        Rate and channels of the mix.
    output
        Of the files.
    tracks
        The track of each stem and the rest, by name, written or not; and of the mix, if it is written.
    """

    def __init__(
        self, preset: Preset, spec: StreamSpec, output: OutputFormat, tracks: Mapping[str, Track | Master]
    ) -> None:
        ends = {name: Ending(track, round(spec.sample_rate), output) for name, track in tracks.items()}
        self._preset, self._tracks = preset, tracks
        strips = {**{stem.name: stem for stem in preset.stems}, REST: preset.rest}
        self._lanes = {name: Lane(strip, spec, ends.get(name)) for name, strip in strips.items()}
        self._ending = ends.get(MIX)
        self._board = Board(make_items(preset.mix.chain) if self._ending else [])
        self._board.start(spec)
        self._sum = AlignedSum(spec, [lane.board for lane in self._lanes.values()])
        self._worst = 0.0
        self._adds_up = output.is_exact and all(
            lane.is_held and tracks[name].writer is not None for name, lane in self._lanes.items()
        )

    def take(self, mix: Audio, stems: Audio) -> None:
        """Take the next samples of the mix, and of the stems in them.

        Shape: mix ``(channels, samples)``, stems ``(stems, channels, samples)``.
        """
        total = np.zeros(mix.shape)
        for stem, samples in zip(self._preset.stems, stems, strict=True):
            lane = self._lanes[stem.name]
            done = self._add(lane, lane.push(samples))
            total += done if lane.is_held else samples
        rest = self._lanes[REST]
        done = self._add(rest, rest.push((mix - total).astype(np.float32)))
        if self._adds_up:
            self._worst = max(self._worst, float(np.abs(mix - total - done).max(initial=0.0)))
        self._write_mix(self._board.push(self._sum.take()))

    def _add(self, lane: Lane, done: Audio) -> Audio:
        self._sum.add(lane.board, done * lane.duck)
        return done

    def _write_mix(self, samples: Audio) -> None:
        if self._ending is not None:
            self._ending.take(samples)

    def finish(self) -> None:
        """Let chains ring out as far as the mix is long, and complete every file."""
        for lane in self._lanes.values():
            self._add(lane, lane.drain())
        self._write_mix(join([self._board.push(self._sum.take()), self._board.drain()]))
        if self._ending is not None:
            self._ending.finish()

    @property
    def writers(self) -> list[AudioWriter]:
        """The files in the making."""
        return [track.writer for track in self.tracks if track.writer is not None]

    @property
    def tracks(self) -> list[Track]:
        """Every track, stems first."""
        return [track.track if isinstance(track, Master) else track for track in self._tracks.values()]

    @property
    def null_db(self) -> float | None:
        """The largest error of the sum of stems and rest, in dBFS; None where they are not to add up."""
        return level_db(self._worst) if self._adds_up else None

    @property
    def mixdown(self) -> StemResult | None:
        """Describe the mix, if it has a file."""
        track = self._tracks.get(MIX)
        return None if track is None else track.result(None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the mix's loudness."""
        track = self._tracks.get(MIX)
        return track.notes if isinstance(track, Master) else ()

    def results(self, presence: Sequence[float]) -> tuple[tuple[StemResult, ...], StemResult | None]:
        """Describe the stems, each with how surely it was there on the whole, and the rest."""
        stems = tuple(
            self._tracks[stem.name].result(mean)
            for stem, mean in zip(self._preset.stems, presence, strict=True)
        )
        rest = self._tracks[REST]
        return stems, None if rest.writer is None else rest.result(None)
