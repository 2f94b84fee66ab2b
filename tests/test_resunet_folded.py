"""The network that runs, folded and fast, against the published implementation's own output."""

import pytest
import torch

from soundlasso.models.resunet import gain, istft, magnitudes, stft
from soundlasso.models.resunet_folded import FoldedUNet
from tests.audiosep_rule import case_inputs, full_network, golden

OF_PEAK = 1e-4  # of the published waveform; 2e-5 is reached


@pytest.mark.parametrize("case", ["short", "long"])
@torch.inference_mode()
def test_waveforms_are_the_published_ones(case: str) -> None:
    network = FoldedUNet(full_network())
    expected = golden(case)
    for mixture, query, waveform in zip(*case_inputs(case), expected, strict=True):
        spectrum = stft(mixture[None])
        stem = istft(spectrum * gain(network(magnitudes(spectrum), network.shifts(query))), len(mixture))[0]
        assert (stem - waveform).abs().max() <= OF_PEAK * expected.abs().max()
