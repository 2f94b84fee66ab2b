"""A third-party VST3 in a preset: hosted in a process of its own, late, and set by its own names.

Independent reference: pedalboard plays the same plugin itself, on what lariat separates.  Tolerance: 2e-6 of
full scale, as for chains of built-in effects.
"""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from pedalboard._pedalboard import load_plugin

from soundlasso.bridge.audiofile import read_audio
from soundlasso.bridge.hosted_scan import PluginError, installed_plugins, plugin_name
from soundlasso.bridge.presets.preset import Preset
from soundlasso.bridge.presets.reading import parse_preset
from soundlasso.models.offline import separate
from tests.board_helpers import NativeBoard
from tests.signals import Audio

DEMO = Path(__file__).parent.parent / "examples" / "demo.flac"
RATE, LENGTH = 44100, 44100
SAME = 2e-6
LIMITER = "ZaMaximX2"

if LIMITER not in map(plugin_name, installed_plugins()):
    pytest.skip("zam-plugins are not installed", allow_module_level=True)


def preset(parameters: str = "threshold_db = -20") -> Preset:
    link = f'{{ plugin = "{LIMITER}", {parameters} }}'
    return parse_preset(
        f'[stem.drums]\nquery = "drums"\nchain = [{link}]\n[rest]\nduck_db = -60\n[mix]\nwrite = true'
    )


@pytest.fixture(scope="module")
def mixture() -> Audio:
    audio, _ = soundfile.read(DEMO, start=4 * RATE, frames=LENGTH, dtype="float32", always_2d=True)
    return np.ascontiguousarray(audio.T, np.float32)


def test_a_plugin_in_a_chain_is_the_plugin(tmp_path: Path, mixture: Audio) -> None:
    soundfile.write(tmp_path / "talk.wav", mixture.T, RATE, subtype="FLOAT")
    result = preset().render(tmp_path / "talk.wav", tmp_path / "out")
    plugin = load_plugin(next(path for path in installed_plugins() if plugin_name(path) == LIMITER))
    plugin.threshold_db = -20.0  # type: ignore[attr-defined]
    plugin.reset()
    drums = separate(mixture, RATE, "drums", consistent=True)
    wanted = NativeBoard([plugin]).process(drums, RATE)
    assert result.stems[0].path is not None and result.mixdown is not None and result.mixdown.path is not None
    written, mixed = (read_audio(path)[0] for path in (result.stems[0].path, result.mixdown.path))
    np.testing.assert_allclose(written, wanted, atol=SAME)
    assert np.abs(written - drums).max() > 0.01, "the limiter does something"
    np.testing.assert_allclose(mixed, wanted + (mixture - drums) * 1e-3, atol=SAME)


@pytest.mark.parametrize(
    ("parameters", "told"), [("treshold_db = -20", "threshold_db"), ("threshold_db = 900", "900")]
)
def test_a_wrong_parameter_of_a_plugin_is_told(parameters: str, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        preset(parameters).board()
