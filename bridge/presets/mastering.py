"""A mix at its loudness: measured whole, then turned up or down, and held under a true-peak ceiling.

The limiter is pedalboard's; it comes close to a true-peak ceiling but promises none, so what it gives is
measured, and lowered by what it exceeds.
"""

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import soundfile
from pedalboard import BrickwallLimiter

from soundlasso.bridge.audiofile import system_name
from soundlasso.bridge.audiofile_format import OutputFormat
from soundlasso.bridge.audiofile_write import AudioWriter, publish, temporary_path
from soundlasso.bridge.board import Board
from soundlasso.bridge.render_result import StemResult
from soundlasso.bridge.render_tracks import Track
from soundlasso.dsp.loudness import LoudnessMeter
from soundlasso.dsp.true_peak import TruePeakMeter

Audio = npt.NDArray[np.float32]
_BLOCK_FRAMES = 65536
_CLOSE_LU = 0.1
_MOST_PASSES = 6
_MOST_GAIN_DB = 40.0  # more would be the noise of a nearly silent recording
_MARGIN_DB = 0.01  # for what rounding to 16 bits may add


class Master:
    """A mix on its way to its file: kept aside until all of it was measured.

    Parameters
    ----------
    track
        Where it goes.
    output
        Its rate, channels and length.
    target_lufs
        How loud it shall be.
    ceiling_db
        What its true peak may not exceed.
    unfinished
        Told how to remove what is kept aside.
    """

    def __init__(
        self,
        track: Track,
        output: OutputFormat,
        target_lufs: float,
        ceiling_db: float,
        unfinished: contextlib.ExitStack,
    ) -> None:
        assert track.writer is not None, "a mix at a loudness has a file"
        self.track = track
        self.notes: tuple[str, ...] = ()
        self._output, self._target_lufs, self._ceiling_db = output, target_lufs, ceiling_db
        kept = OutputFormat("RF64", "FLOAT", output.sample_rate, output.channels, output.frames)
        self._aside = AudioWriter(temporary_path(track.writer.path), kept)
        self._unfinished = unfinished
        unfinished.callback(self._aside.withdraw)
        self._meters = _Meters(output)

    @property
    def writer(self) -> AudioWriter | None:
        """The file in the making."""
        return self.track.writer

    def take(self, block: Audio) -> Audio:
        """Keep a block aside, and measure it."""
        self._meters.take(block)
        return self._aside.write(block)

    def finish(self) -> None:
        """Find the gain, and write the mix."""
        publish([self._aside])
        gain_db, trim_db = self._settle()
        peak = TruePeakMeter(self._output.sample_rate, self._output.channels)
        for block in self._play(gain_db, trim_db):
            peak.process(self.track.take(block))
        self.track.true_peak_dbtp = peak.finish()
        self._aside.withdraw()

    def result(self, presence: float | None) -> StemResult:
        """Describe the mix, finished."""
        return self.track.result(presence)

    def _settle(self) -> tuple[float, float]:
        """Find the gain before the limiter and the trim after it, by trying."""
        lufs, peak_db = self._meters.read()
        if lufs == -math.inf:
            return 0.0, min(0.0, self._ceiling_db - peak_db)
        gain_db = min(self._target_lufs - lufs, _MOST_GAIN_DB)
        lufs, trim_db = self._try(gain_db)
        for _ in range(_MOST_PASSES):
            missing = self._target_lufs - lufs
            if abs(missing) <= _CLOSE_LU or gain_db + missing > _MOST_GAIN_DB:
                break
            gain_db += missing
            lufs, trim_db = self._try(gain_db)
        if abs(self._target_lufs - lufs) > _CLOSE_LU:
            self.notes = (self._note(lufs, gain_db),)
        return gain_db, trim_db

    def _note(self, lufs: float, gain_db: float) -> str:
        missed = f"the mix is at {lufs:.1f} LUFS, not {self._target_lufs:g}"
        if self._meters.read()[1] + gain_db <= self._ceiling_db:  # nothing was limited
            return f"{missed}: it is turned up by {gain_db:.0f} dB, and more would be noise; record it louder"
        peaks = f"its peaks may not exceed {self._ceiling_db:g} dBTP"
        return f"{missed}: {peaks}; compress it in [mix] or ask for less"

    def _try(self, gain_db: float) -> tuple[float, float]:
        """Return the loudness that a gain leads to, and the trim that it needs."""
        meters = _Meters(self._output)
        for block in self._play(gain_db, 0.0):
            meters.take(block)
        lufs, peak_db = meters.read()
        trim_db = min(0.0, self._ceiling_db - _MARGIN_DB - peak_db)
        return lufs + trim_db, trim_db

    def _play(self, gain_db: float, trim_db: float) -> Iterator[Audio]:
        """Yield the mix at a gain; limited only where it would exceed the ceiling."""
        peak_db = self._meters.read()[1]
        limits = peak_db + gain_db > self._ceiling_db
        board = Board([BrickwallLimiter(self._ceiling_db, true_peak=True)] if limits else [])
        before, after = np.float32(10 ** (gain_db / 20)), np.float32(10 ** (trim_db / 20))
        for block in board.stream(self._blocks(before), self._output.sample_rate):
            yield block * after

    def _blocks(self, gain: np.float32) -> Iterator[Audio]:
        with soundfile.SoundFile(system_name(self._aside.path)) as file:
            for block in file.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True):
                yield np.ascontiguousarray(block.T) * gain


class _Meters:
    """Loudness and true peak at once."""

    def __init__(self, output: OutputFormat) -> None:
        self._loudness = LoudnessMeter(output.sample_rate, output.channels)
        self._peak = TruePeakMeter(output.sample_rate, output.channels)

    def take(self, block: Audio) -> None:
        self._loudness.process(block)
        self._peak.process(block)

    def read(self) -> tuple[float, float]:
        """Return LUFS and dBTP, at the end."""
        return self._loudness.integrated_lufs, self._peak.finish()
