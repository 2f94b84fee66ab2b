"""Draw spectrograms of a mix, its stems and the rest, one above the other, for a musician's eye.

Frequency is logarithmic, as pitch is heard, with the octaves of C marked; all rows share one scale in dB,
so that a quiet stem looks quiet. A column shows the loudest moment of its time, so that a short sound in
a long file is still seen. Needs matplotlib, from ``pip install soundlasso[plot]``.
"""

import importlib.util
import io
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from soundlasso.bridge.audiofile import AudioReader
from soundlasso.bridge.audiofile_write import write_whole
from soundlasso.bridge.naming import printable
from soundlasso.dsp.errors import SoundlassoError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from soundlasso.bridge.render_plan import RenderPlan

Audio = npt.NDArray[np.float32]

_WINDOW_S = 0.093  # 4096 samples at 44.1 kHz: a semitone apart from 180 Hz up
_OVERLAP = 4
_COLUMNS = 1400
_BANDS_PER_OCTAVE = 36
_LOWEST_HZ = 32.703  # C1, below the lowest string of a bass guitar
_HIGHEST_HZ = 20000.0
_RANGE_DB = 80.0
_FLOOR = 1e-12
_BLOCK_FRAMES = 64
_ROW_INCHES = 1.9
_WIDTH_INCHES = 12.0
_DPI = 110
_TITLE_CHARACTERS = 100  # a longer title would push the rows together
_MARKED_HZ = {
    "50 Hz": 50,
    "100": 100,
    "200": 200,
    "500": 500,
    "1 kHz": 1000,
    "2": 2000,
    "5": 5000,
    "10": 10000,
}
_CLOCK_FROM_S = 120.0  # longer files are marked in minutes and seconds


class Row(NamedTuple):
    """One row of the picture."""

    label: str
    path: Path
    start_s: float = 0.0
    length_s: float | None = None


def check_matplotlib() -> None:
    """Refuse to draw where matplotlib is not installed.

    Raises
    ------
    SoundlassoError
        With the command that installs it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise SoundlassoError("drawing needs matplotlib; run: pip install 'soundlasso[plot]'")


def draw_render(plan: "RenderPlan") -> None:
    """Draw a finished render: the mix, each stem that was written, and the rest.

    Raises
    ------
    AudioFileError
        A file cannot be read, or the picture not written.
    """
    if plan.picture is None:
        return
    rows = [Row(plan.mix.path.name, plan.mix.path, plan.settings.start_s, plan.settings.length_s)]
    rows += [
        Row(query, path) for query, path in zip(plan.queries, plan.stems, strict=True) if path is not None
    ]
    rows += [Row("rest", plan.rest)] if plan.rest is not None else []
    rows += [Row("mix", plan.mixdown)] if plan.mixdown is not None else []
    draw_spectrograms(rows, plan.picture)


def draw_spectrograms(rows: Sequence[Row], path: Path) -> None:
    """Draw files of one length and rate above each other on the first one's scale.

    Parameters
    ----------
    rows
        What to draw, from top to bottom; the first sets the scale in dB.
    path
        The picture, PNG; replaced if it is there.

    Raises
    ------
    SoundlassoError
        matplotlib is not installed.
    AudioFileError
        A file cannot be read, or the picture not written.
    """
    check_matplotlib()
    levels_db = [_read_levels(row) for row in rows]
    figure = _draw([row.label for row in rows], levels_db, _seconds(rows[0]), rows[0].start_s)
    write_whole(path, _to_png(figure))


def _to_png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The font lacks most scripts; a box in a title is no news, the file names have the text.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": "soundlasso"})
    return buffer.getvalue()


def _seconds(row: Row) -> float:
    with AudioReader(row.path, start_s=row.start_s, length_s=row.length_s) as reader:
        return reader.frames / reader.info.sample_rate


def _read_levels(row: Row) -> npt.NDArray[np.float64]:
    with AudioReader(row.path, start_s=row.start_s, length_s=row.length_s) as reader:
        return spectrogram_db(reader.blocks(), reader.frames, reader.info.sample_rate)


def band_edges(sample_rate: float) -> npt.NDArray[np.float64]:
    """Return the edges of the picture's bands in Hz, 36 to the octave, from C1 to 20 kHz or half the rate."""
    octaves = np.log2(min(_HIGHEST_HZ, sample_rate / 2) / _LOWEST_HZ)
    return _LOWEST_HZ * 2 ** (np.arange(int(octaves * _BANDS_PER_OCTAVE) + 1) / _BANDS_PER_OCTAVE)


def spectrogram_db(blocks: Iterable[Audio], frames: int, sample_rate: int) -> npt.NDArray[np.float64]:
    """Compute the picture of one sound in bounded memory.

    Parameters
    ----------
    blocks
        The sound in order. Shape of each: ``(channels, samples)``.
    frames
        How many samples per channel there are in all.
    sample_rate
        In Hz.

    Returns
    -------
    numpy.ndarray
        In each band and column the largest level, in dB of a full-scale sine; power is averaged over
        channels. Shape: ``(bands, columns)``.
    """
    n_fft = 1 << round(np.log2(_WINDOW_S * sample_rate))
    hop = n_fft // _OVERLAP
    n_frames = frames // hop + 1
    columns = min(_COLUMNS, n_frames)
    loudest = np.full((columns, len(band_edges(sample_rate)) - 1), _FLOOR)
    first = 0
    for power in _frame_power(blocks, n_frames, n_fft, hop):
        for index, bands in enumerate(_to_bands(power, sample_rate)):
            column = (first + index) * columns // n_frames
            np.maximum(loudest[column], bands, out=loudest[column])
        first += len(power)
    return 10 * np.log10(loudest.T)


def _frame_power(
    blocks: Iterable[Audio], n_frames: int, n_fft: int, hop: int
) -> Iterable[npt.NDArray[np.float64]]:
    """Yield the power spectra of centred frames, some at a time. Shape: ``(frames, n_fft // 2 + 1)``."""
    window = np.hanning(n_fft + 1)[:-1]
    scale = 2 / window.sum()  # a full-scale sine has amplitude 1
    held: Audio | None = None
    left = n_frames
    for block in _with_end(blocks, n_fft):
        held = (
            np.pad(block, ((0, 0), (n_fft // 2, 0)))
            if held is None
            else np.concatenate([held, block], axis=1)
        )
        while left and held.shape[1] >= n_fft:
            count = min(left, _BLOCK_FRAMES, (held.shape[1] - n_fft) // hop + 1)
            cut = np.lib.stride_tricks.sliding_window_view(held, n_fft, axis=1)[:, : count * hop : hop]
            spectra = np.fft.rfft(cut * window, axis=2) * scale
            yield (spectra.real**2 + spectra.imag**2).mean(axis=0)
            held = held[:, count * hop :]
            left -= count


def _with_end(blocks: Iterable[Audio], n_fft: int) -> Iterable[Audio]:
    """Append the silence that the last centred frames reach into."""
    channels = 1
    for block in blocks:
        channels = len(block)
        yield block
    yield np.zeros((channels, n_fft), np.float32)


def _to_bands(power: npt.NDArray[np.float64], sample_rate: int) -> npt.NDArray[np.float64]:
    """Take the strongest bin of each band; where bins lie wider than bands, interpolate between them."""
    edges = band_edges(sample_rate)
    spacing_hz = sample_rate / 2 / (power.shape[1] - 1)
    centres = np.sqrt(edges[:-1] * edges[1:]) / spacing_hz
    low = centres.astype(int)
    high = np.minimum(low + 1, power.shape[1] - 1)
    share = centres - low
    bands: npt.NDArray[np.float64] = power[:, low] * (1 - share) + power[:, high] * share
    starts = np.ceil(edges / spacing_hz).astype(int)
    narrow = np.flatnonzero(np.diff(starts) < 2)
    first_wide = int(narrow[-1]) + 1 if len(narrow) else 0
    if first_wide < bands.shape[1]:
        bins = power[:, : starts[-1]]
        bands[:, first_wide:] = np.maximum.reduceat(bins, starts[first_wide:-1], axis=1)
    return bands


def _draw(
    labels: Sequence[str], levels_db: Sequence[npt.NDArray[np.float64]], seconds: float, start_s: float
) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((_WIDTH_INCHES, 0.9 + _ROW_INCHES * len(labels)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(labels), 1, sharex=True, squeeze=False)[:, 0]
    top_db = max(float(np.ceil(levels_db[0].max() / 10) * 10), 10 * np.log10(_FLOOR) + _RANGE_DB)
    images = []
    for axis, label, level_db in zip(axes, labels, levels_db, strict=True):
        image = axis.imshow(
            level_db,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top_db - _RANGE_DB,
            vmax=top_db,
            extent=(start_s, start_s + seconds, 0, len(level_db)),
            interpolation="nearest",
        )
        images.append(image)
        _mark_frequencies(axis, len(level_db))
        silent = "" if level_db.max() > top_db - _RANGE_DB else "  (silent)"
        axis.set_title(_to_title(label) + silent, loc="left", fontsize=10, parse_math=False)
    _mark_time(axes[-1], seconds)
    figure.colorbar(images[0], ax=list(axes), label="dBFS", pad=0.01, aspect=12 * len(labels))
    return figure


def _to_title(label: str) -> str:
    text = printable(label)
    return text if len(text) <= _TITLE_CHARACTERS else text[: _TITLE_CHARACTERS - 1] + "…"


def _mark_frequencies(axis: "Axes", bands: int) -> None:
    """Mark round frequencies on the left, as an equaliser has them, and the octaves of C on the right."""
    heights = {text: _BANDS_PER_OCTAVE * np.log2(hz / _LOWEST_HZ) for text, hz in _MARKED_HZ.items()}
    shown = {text: height for text, height in heights.items() if height < bands}
    axis.set_yticks(list(shown.values()), list(shown), fontsize=7)
    octaves = range(0, bands, _BANDS_PER_OCTAVE)
    notes = axis.secondary_yaxis("right")
    notes.set_yticks(list(octaves), [f"C{1 + index}" for index in range(len(octaves))], fontsize=7)


def _mark_time(axis: "Axes", seconds: float) -> None:
    from matplotlib.ticker import FuncFormatter

    if seconds > _CLOCK_FROM_S:
        axis.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{int(at // 60)}:{at % 60:02.0f}"))
        axis.set_xlabel("minutes:seconds")
    else:
        axis.set_xlabel("seconds")
