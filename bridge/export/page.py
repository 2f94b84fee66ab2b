"""A page to hear and see sounds that belong together: one HTML text with all it needs inside.

Nothing is fetched: sound, pictures, style and script are in the text, and the page's own policy forbids the
network.  All sounds are at their true level to each other; one common gain keeps the loudest below full
scale.  The native players of the browser are used, which screen readers and keyboards know.
"""

import html
import importlib.util
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

import numpy as np
import numpy.typing as npt

from soundlasso.bridge.export.listen import Audio, Outline, data_uri, encode_opus
from soundlasso.bridge.picture import spectrogram_db

_RANGE_DB = 80.0
_PICTURE_LEVELS = 64
_PICTURE_COLUMNS = 900


@dataclass(frozen=True)
class Sound:
    """One sound of a page.

    Attributes
    ----------
    name
        What it is called.
    blocks
        Gives the sound from its start, as often as it is called. Shape of each: ``(channels, samples)``.
    channels, frames, sample_rate
        Of the sound.
    colour
        ``"#rrggbb"``.
    figures
        What is known of it, by name, ready to be read.
    presence
        How surely it is there, 0 to 1, at even steps of time; empty when that is not known.
    """

    name: str
    blocks: Callable[[], Iterable[Audio]]
    channels: int
    frames: int
    sample_rate: int
    colour: str
    figures: Mapping[str, str]
    presence: tuple[float, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.frames / self.sample_rate


def make_page(
    title: str, sounds: Sequence[Sound], facts: Mapping[str, str], *, start_s: float = 0.0, note: str = ""
) -> str:
    """Make a whole page.

    Parameters
    ----------
    title
        What is heard.
    sounds
        From top to bottom; the first sets the scale of the pictures.
    facts
        Settings and the like, shown below.
    start_s
        Where the sounds begin in what they come from, in seconds.
    note
        A sentence under the title.

    Returns
    -------
    str
        HTML. Spectrograms are in it where matplotlib is installed.
    """
    return _fill(
        "page.html",
        title=html.escape(title),
        note=html.escape(note),
        style=_read("page.css"),
        script=_read("page.js"),
        rows=_rows(sounds, start_s),
        facts=_table(facts),
    )


def make_fragment(title: str, sounds: Sequence[Sound], *, start_s: float = 0.0) -> str:
    """Make what a notebook shows of sounds: a page inside a frame, so that nothing leaks out or in."""
    page = make_page(title, sounds, {}, start_s=start_s)
    height = 90 + 175 * len(sounds)
    return (
        f'<iframe title="{html.escape(title)}" srcdoc="{html.escape(page)}" '
        f'style="width:100%;height:{height}px;border:0" sandbox="allow-scripts"></iframe>'
    )


def _fill(part: str, /, **values: str) -> str:
    return Template(_read(part)).substitute(values)


def _read(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class _Seen:
    """A sound looked at once."""

    outline: Outline
    levels_db: npt.NDArray[np.float64] | None


def _rows(sounds: Sequence[Sound], start_s: float) -> str:
    has_pictures = importlib.util.find_spec("matplotlib") is not None
    seen = [_look(sound, has_pictures) for sound in sounds]
    peak = max([1e-6, *(one.outline.peak for one in seen)])
    gain = min(1.0, 0.99 / peak)
    top_db = max([-100.0, *(float(one.levels_db.max()) for one in seen[:1] if one.levels_db is not None)])
    rows = [
        _row(sound, one, number, gain, peak, top_db, start_s)
        for number, (sound, one) in enumerate(zip(sounds, seen, strict=True))
    ]
    if gain < 1:
        down_db = -20 * math.log10(gain)
        rows.insert(0, f"<p>All sounds are {down_db:.1f} dB down here, or the loudest would clip.</p>")
    return "\n".join(rows)


def _look(sound: Sound, has_pictures: bool) -> _Seen:
    outline = Outline(sound.frames)
    blocks = outline.watch(sound.blocks())
    if has_pictures:
        return _Seen(outline, spectrogram_db(blocks, sound.frames, sound.sample_rate))
    for _ in blocks:
        pass
    return _Seen(outline, None)


def _row(
    sound: Sound, seen: _Seen, number: int, gain: float, peak: float, top_db: float, start_s: float
) -> str:
    opus = encode_opus(sound.blocks(), sound.channels, sound.sample_rate, sound.seconds, gain)
    figures = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in sound.figures.items()
    )
    return _fill(
        "row.html",
        id=f"sound{number}",
        name=html.escape(sound.name),
        colour=sound.colour,
        audio=data_uri(opus, "audio/ogg; codecs=opus"),
        figures=figures,
        width=str(len(seen.outline.low)),
        outline=seen.outline.path(peak),
        picture=_picture(sound, seen.levels_db, top_db),
        presence=_presence(sound),
        start=clock(start_s),
        end=clock(start_s + sound.seconds),
        silent="" if seen.outline.peak else " (silent)",
    )


def _picture(sound: Sound, levels_db: npt.NDArray[np.float64] | None, top_db: float) -> str:
    if levels_db is None:
        return ""
    alt = html.escape(f"spectrogram of {sound.name}, 33 Hz to 20 kHz")
    uri = data_uri(_to_png(levels_db, top_db), "image/png")
    return f'<img class="picture" src="{uri}" alt="{alt}">'


def _to_png(levels_db: npt.NDArray[np.float64], top_db: float) -> bytes:
    """Draw levels in few colours, which takes a quarter of the room of all."""
    from matplotlib import colormaps
    from PIL import Image

    share = np.clip((levels_db - top_db) / _RANGE_DB + 1, 0, 1)
    steps = np.rint(share * (_PICTURE_LEVELS - 1)).astype(np.uint8)[::-1]
    columns = -(-steps.shape[1] // _PICTURE_COLUMNS)
    wide = np.pad(steps, ((0, 0), (0, -steps.shape[1] % columns)))
    image = Image.fromarray(wide.reshape(len(wide), -1, columns).max(axis=2), "P")
    colours = colormaps["magma"](np.linspace(0, 1, _PICTURE_LEVELS))[:, :3]
    image.putpalette(np.rint(255 * colours).astype(np.uint8).tobytes())
    target = io.BytesIO()
    image.save(target, "png", optimize=True)
    return target.getvalue()


def _presence(sound: Sound) -> str:
    if not sound.presence:
        return ""
    points = sound.presence
    last = max(len(points) - 1, 1)
    line = " ".join(f"{1000 * x / last:.1f},{30 - 28 * y:.1f}" for x, y in enumerate(points))
    label = html.escape(f"presence of {sound.name} over time, from 0 to 1")
    return (
        f'<svg class="presence" viewBox="0 0 1000 30" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}"><polygon points="0,30 {line} 1000,30"/></svg>'
    )


def clock(seconds: float) -> str:
    """Write a time as minutes and seconds."""
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def _table(facts: Mapping[str, str]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    return f"<table>{rows}</table>" if rows else ""
