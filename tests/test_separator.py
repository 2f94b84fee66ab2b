"""Models by name, arrays in one line, and the front door."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import soundlasso
from soundlasso import Separator, load_model, separate
from soundlasso.dsp.errors import AudioError, Cancelled, ModelError, UnknownModelError
from soundlasso.models.checkpoint import load_safetensors, save_safetensors
from soundlasso.models.separator import shipped_weights
from tests.signals import noise

RATE = 44100


def test_importing_soundlasso_loads_no_torch_and_is_fast() -> None:
    program = (
        "import time; start = time.process_time(); import soundlasso; took = time.process_time() - start;"
        "import sys; heavy = {'torch', 'transformers', 'scipy', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy; assert took < 0.3, took; assert 'separate' in dir(soundlasso)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_front_door_has_few_names_and_all_open() -> None:
    assert len(soundlasso.__all__) <= 10
    assert all(getattr(soundlasso, name) is not None for name in soundlasso.__all__)
    assert soundlasso.render.__module__ == "soundlasso.bridge.render"
    with pytest.raises(AttributeError, match="no attribute 'separat'"):
        soundlasso.separat  # type: ignore[attr-defined]  # noqa: B018


def test_a_single_query_keeps_the_shape_and_a_list_adds_an_axis(lariat: Separator) -> None:
    mono, stereo = noise(1, 3000)[0], noise(2, 3000)
    assert separate(mono, RATE, "drums", model=lariat).shape == (3000,)
    assert separate(mono, RATE, ["drums", "a voice"], model=lariat).shape == (2, 3000)
    assert separate(stereo, RATE, "drums", model=lariat).shape == (2, 3000)
    assert separate(stereo, RATE, ["drums"], model=lariat).shape == (1, 2, 3000)
    assert separate(np.zeros((2, 0), np.float32), RATE, "drums", model=lariat).shape == (2, 0)


def test_float64_is_taken_as_float32(lariat: Separator) -> None:
    audio = noise(1, 9000)
    single = separate(audio, RATE, "drums", model=lariat)
    assert np.array_equal(separate(audio.astype(np.float64), RATE, "drums", model=lariat), single)


def test_progress_rises_to_one_and_cancel_stops(lariat: Separator) -> None:
    fractions: list[float] = []
    audio = noise(1, 25 * RATE)
    separate(audio, RATE, "drums", model=lariat, progress=fractions.append)
    assert fractions == sorted(fractions) and fractions[-1] == 1 and len(fractions) > 2
    cancel = threading.Event()
    with pytest.raises(Cancelled, match="stopped after 441000 of 1102500 samples"):
        separate(audio, RATE, "drums", model=lariat, progress=lambda _: cancel.set(), cancel=cancel)


def test_transposed_audio_is_refused_with_the_way_out(lariat: Separator) -> None:
    with pytest.raises(AudioError, match=r"pass audio\.T"):
        separate(noise(2, 1000).T, RATE, "drums", model=lariat)


@pytest.mark.parametrize("shape", [(2, 1), (6, 4), (64, 2), (2, 0)])
def test_short_audio_of_many_channels_is_not_taken_for_transposed(
    lariat: Separator, shape: tuple[int, int]
) -> None:
    assert separate(np.zeros(shape, np.float32), RATE, "drums", model=lariat).shape == shape


def test_one_model_is_loaded_once(lariat: Separator) -> None:
    assert load_model("lariat") is lariat
    assert shipped_weights("lariat").stem.endswith(lariat.weights_hash)


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match="no model 'lariet'; did you mean 'lariat'"):
        load_model("lariet")


def test_a_model_that_was_not_fetched_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDLASSO_CACHE", str(tmp_path))
    with pytest.raises(UnknownModelError, match="soundlasso models get audiosep-hive"):
        load_model("audiosep-hive")


def test_a_missing_device_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(ModelError, match="device 'cuda' is not available"):
        load_model("lariat", device="cuda")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    content = bytearray(shipped_weights("lariat").read_bytes())
    content[-1] ^= 1
    damaged = tmp_path / shipped_weights("lariat").name
    damaged.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_model(damaged)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    tensors = load_safetensors(shipped_weights("lariat"))
    missing = {name: value for name, value in tensors.items() if name != "maps_skip.bias"}
    with pytest.raises(ModelError, match=r"maps_skip\.bias"):
        load_model(save_safetensors(missing, tmp_path, "missing"))
    with pytest.raises(ModelError, match="not lariat's weights"):
        load_model(save_safetensors({"a": torch.zeros(3)}, tmp_path, "other"))
    misshapen = {**tensors, "down.0.norm.weight": torch.zeros(3)}
    with pytest.raises(ModelError, match=r"down\.0\.norm\.weight"):
        load_model(save_safetensors(misshapen, tmp_path, "misshapen"))
