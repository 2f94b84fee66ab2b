"""ResUNet30 against the published implementation's own output."""

import pytest
import torch

from soundlasso.models.resunet import LEAST_SAMPLES, ResUNet30, gain, istft, magnitudes, stft
from tests.audiosep_rule import (
    NARROW,
    case_inputs,
    condition,
    full_network,
    golden,
    mixture,
    narrow_network,
    published_shapes,
)

OF_PEAK = 1e-4  # of the published waveform; 2e-5 is reached, all of it float rounding in the phase residual
ROUND_TRIP = 1e-6  # of full scale


def test_names_and_shapes_are_the_published_ones() -> None:
    tensors = full_network().state_dict()
    ours = {name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor.dim()}
    assert ours == published_shapes()


@pytest.mark.parametrize("case", ["short", "second", "pair"])  # a longer one: tests/test_resunet_folded.py
@torch.inference_mode()
def test_waveforms_are_the_published_ones(case: str) -> None:
    expected = golden(case)
    stems = full_network()(*case_inputs(case))
    assert stems.shape == expected.shape
    assert (stems - expected).abs().max() <= OF_PEAK * expected.abs().max()


@pytest.mark.parametrize("samples", [0, 1, 319, 320, 1024, 2048])
@torch.inference_mode()
def test_short_signals_give_as_many_samples(samples: int) -> None:
    network = narrow_network()
    heard = mixture(0.1, 0)[None, :samples]
    stem = network(heard, condition(0)[None])
    as_if_silence_followed = torch.nn.functional.pad(heard, (0, max(0, LEAST_SAMPLES - samples)))
    assert stem.shape == heard.shape
    assert torch.equal(stem, network(as_if_silence_followed, condition(0)[None])[:, :samples])


def test_the_gain_is_a_mask_and_a_turn_without_the_nyquist_bin() -> None:
    maps = torch.randn(1, 3, 4, 1024, generator=torch.manual_seed(1))
    gains = gain(maps)
    assert torch.allclose(gains[..., :-1].abs(), maps[:, 0].sigmoid())
    assert torch.allclose(
        gains[..., :-1].angle(), torch.atan2(maps[:, 2].tanh(), maps[:, 1].tanh()), atol=1e-5
    )
    assert not gains[..., -1].any()


def test_a_phase_residual_of_zero_gives_silence_not_nan() -> None:
    assert not gain(torch.zeros(1, 3, 1, 1024)).any()


@pytest.mark.parametrize("samples", [LEAST_SAMPLES, 2048, 32_001])
def test_the_transform_comes_back(samples: int) -> None:
    signal = mixture(1.1, 0)[None, :samples]
    spectrum = stft(signal)
    assert spectrum.shape == (1, samples // 320 + 1, 1025)
    assert (istft(spectrum, samples) - signal).abs().max() <= ROUND_TRIP
    assert torch.allclose(magnitudes(spectrum), spectrum.abs(), atol=1e-5)
    assert torch.allclose(magnitudes(torch.zeros(1, dtype=torch.complex64)), torch.tensor(1e-5))


def test_it_can_be_trained() -> None:
    network = ResUNet30(NARROW)
    stem = network(mixture(0.35, 0)[None], condition(0)[None])
    stem.square().mean().backward()
    unused = {name for name, weight in network.named_parameters() if weight.grad is None}
    published_but_unused = {f"base.decoder_block{level}.bn2" for level in range(1, 7)}
    published_but_unused |= {f"film.decoder_block{level}->beta2" for level in range(1, 7)}
    assert {name.rpartition(".")[0] for name in unused} == published_but_unused
