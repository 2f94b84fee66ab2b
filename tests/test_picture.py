"""Spectrogram pictures: levels against known sines, and a PNG that is whole.

Tolerances: 2 dB for a sine between two bins (1.4 dB is the Hann window's own, the rest interpolation), and
for its pitch one band or one bin, whichever is wider.
"""

import struct
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import soundfile

from soundlasso.bridge import picture
from soundlasso.bridge.picture import Row, band_edges, draw_spectrograms, spectrogram_db
from soundlasso.dsp.errors import SoundlassoError
from tests.signals import blocks, noise, sine

LEVEL_TOLERANCE_DB = 2.0


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize("frequency_hz", [55.0, 440.0, 3000.0])
def test_a_sine_shows_at_its_pitch_and_level(rate: int, frequency_hz: float) -> None:
    tone = sine(frequency_hz, rate, 2 * rate, level=0.1)
    levels_db = spectrogram_db(blocks(tone, 1000), 2 * rate, rate)
    middle = levels_db[:, levels_db.shape[1] // 2]
    shown_hz = band_edges(rate)[middle.argmax()]
    assert shown_hz == pytest.approx(frequency_hz, abs=max(1.2 / 0.093, 0.04 * frequency_hz))
    assert middle.max() == pytest.approx(-20, abs=LEVEL_TOLERANCE_DB)


@pytest.mark.parametrize("size", [100, 4096, 100_000])
def test_any_chunking_gives_the_same_picture(size: int) -> None:
    audio = noise(2, 50_000)
    whole = spectrogram_db([audio], 50_000, 44100)
    np.testing.assert_allclose(spectrogram_db(blocks(audio, size), 50_000, 44100), whole, atol=1e-9)


@pytest.mark.parametrize("length", [1, 100, 4095, 4097])
def test_a_short_sound_has_a_picture(length: int) -> None:
    levels_db = spectrogram_db([noise(1, length)], length, 44100)
    assert levels_db.shape[1] >= 1
    assert np.isfinite(levels_db).all()


def test_the_end_of_a_sound_is_drawn() -> None:
    levels_db = spectrogram_db([sine(440.0, 8000, 9000, level=0.1)], 9000, 8000)
    assert levels_db[:, -1].max() > -30  # its last frame is half silence, 6 dB down


def test_a_click_in_a_long_sound_is_still_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_COLUMNS", 10)
    audio = np.zeros((1, 20 * 8000), np.float32)
    audio[0, 100_000] = 1
    levels_db = spectrogram_db(blocks(audio, 8192), audio.shape[1], 8000)
    assert levels_db.shape[1] == 10
    assert levels_db[:, 6].max() > levels_db[:, 3].max() + 50


def test_the_picture_is_whole_and_has_a_row_for_each_sound(tmp_path: Path) -> None:
    heights = []
    for count in (1, 3):
        rows = []
        for index in range(count):
            path = tmp_path / f"{index}.wav"
            soundfile.write(path, noise(2, 8000, seed=index).T, 8000, subtype="FLOAT")
            rows.append(Row("$x^2$ drums" if index else "mix", path))
        target = tmp_path / f"{count}.png"
        draw_spectrograms(rows, target)
        data = target.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert data.endswith(b"IEND\xaeB`\x82")
        heights.append(struct.unpack(">I", data[20:24])[0])
    assert heights[1] - heights[0] == pytest.approx(2 * 1.9 * 110, abs=2)


def test_any_title_fits_and_makes_no_noise(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1, 8000).T, 8000)
    widths = []
    for label in ("drums", "w" * 300, "声 🎤", "a\nb"):
        draw_spectrograms([Row(label, path)], tmp_path / "a.png")  # a warning would be an error
        drawn = matplotlib.image.imread(tmp_path / "a.png")[:, :, 0]
        widths.append(int(np.flatnonzero(np.any(drawn < 0.05, axis=0))[-1]))
    assert max(widths) - min(widths) <= 2


def test_without_matplotlib_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SoundlassoError, match=r"pip install 'soundlasso\[plot\]'"):
        draw_spectrograms([], Path("x.png"))
