"""The exported graph in its runtime: torch's numbers, for any window, chosen by name and refused by name."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from soundlasso import load_model
from soundlasso.dsp.errors import ModelError
from soundlasso.models.resunet import gain, istft, magnitudes, stft
from soundlasso.models.resunet_folded import FoldedUNet
from soundlasso.models.resunet_graph import export
from soundlasso.models.resunet_onnx import OnnxUNet
from soundlasso.models.runtime import RUNTIME_VARIABLE, asked_runtime, choose
from tests.audiosep_rule import case_inputs, condition, full_network, golden, narrow_network

SAME_GAIN = 1e-4  # 4e-5 is reached, where the phase residual is small
SAME_MAPS = 1e-5  # of the largest
OF_PEAK = 1e-4  # of the published waveform; 2e-5 is reached


@pytest.fixture(scope="module")
def folded() -> FoldedUNet:
    return FoldedUNet(narrow_network())


@pytest.fixture(scope="module")
def graph(folded: FoldedUNet) -> bytearray:
    return bytearray(export(folded))


@pytest.mark.parametrize(
    ("rows", "frames", "past", "future"),
    [(1, 32, 0, 0), (2, 320, 96, 32), (1, 320, 160, 152), (1, 96, 32, 30)],
)
@torch.inference_mode()
def test_gains_are_torchs(
    folded: FoldedUNet, graph: bytearray, rows: int, frames: int, past: int, future: int
) -> None:
    network = OnnxUNet(folded, lambda: graph)
    heard = torch.rand(rows, frames, 1025, generator=torch.manual_seed(4))
    maps = network.window(rows, frames, past, future)
    for query in map(condition, range(2)):
        expected = folded(heard, folded.shifts(query), past, future)
        got = maps(heard, network.shifts(query))
        assert got.shape == (rows, 3, frames - past - future, 1024)
        assert (got - expected).abs().max() <= SAME_MAPS * expected.abs().max()
        assert (gain(got) - gain(expected)).abs().max() <= SAME_GAIN


@pytest.mark.parametrize("case", ["short", "long"])
@torch.inference_mode()
def test_the_waveform_is_the_published_one(case: str) -> None:
    folded = FoldedUNet(full_network())
    network = OnnxUNet(folded, lambda: bytearray(export(folded)))
    (mixture,), (query,) = case_inputs(case)
    spectrum = stft(mixture[None])
    maps = network.window(1, spectrum.shape[1], 0, 0)(magnitudes(spectrum), network.shifts(query))
    stem = istft(spectrum * gain(maps), len(mixture))
    expected = golden(case)
    assert (stem - expected).abs().max() <= OF_PEAK * expected.abs().max()


def test_two_windows_of_one_network_do_not_share_what_they_give(folded: FoldedUNet, graph: bytearray) -> None:
    network = OnnxUNet(folded, lambda: graph)
    one, other = (network.window(1, 32, 0, 0) for _ in range(2))
    shifts = network.shifts(condition(0))
    first = one(torch.ones(1, 32, 1025), shifts)
    kept = first.clone()
    other(torch.zeros(1, 32, 1025), shifts)
    assert torch.equal(first, kept)


INTERRUPTED = """
import os, signal, threading
import torch
from soundlasso.models.resunet_folded import FoldedUNet
from soundlasso.models.resunet_graph import export
from soundlasso.models.resunet_onnx import OnnxUNet
from tests.audiosep_rule import condition, narrow_network

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have turned off
folded = FoldedUNet(narrow_network())
graph = bytearray(export(folded))
shifts, heard = folded.shifts(condition(0)), torch.ones(1, 32, 1025)
for number in range(12):
    later = threading.Timer(0.03 * number, os.kill, (os.getpid(), signal.SIGINT))
    try:
        later.start()
        while True:  # loaded, compiled, asked and let go of
            maps = OnnxUNet(folded, lambda: graph).window(1, 32, 0, 0)
            for _ in range(5):
                maps(heard, shifts)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    later.join()
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_ctrl_c_ends_the_runtime_at_any_moment_without_a_crash() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", INTERRUPTED],
        capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == -signal.SIGINT, done.stderr
    assert done.stdout == "interrupted\n" * 12
    assert done.stderr.endswith("KeyboardInterrupt\n") and "Fatal" not in done.stderr


def test_the_same_network_gives_the_same_file(folded: FoldedUNet, graph: bytearray) -> None:
    assert export(FoldedUNet(narrow_network())) == graph


def test_auto_is_the_fastest_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto", "cpu") == "onnx"
    assert choose("auto", "cuda") == choose("eager", "cpu") == "eager"
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    assert choose("auto", "cpu") == "eager"
    with pytest.raises(
        ModelError, match=r"'onnx' is not installed; .* 'soundlasso\[onnx\]', or choose 'eager'"
    ):
        choose("onnx", "cpu")


def test_what_cannot_be_chosen_says_what_can(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="computes on the cpu, not on 'cuda'"):
        choose("onnx", "cuda")
    with pytest.raises(ModelError, match="runtime must be one of auto, eager, onnx, not 'fast'"):
        load_model("audiosep", runtime="fast")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="'lariat' has no runtime but 'eager'"):
        load_model("lariat", runtime="onnx")
    monkeypatch.setenv(RUNTIME_VARIABLE, "fast")
    with pytest.raises(ModelError, match=r"the variable SOUNDLASSO_RUNTIME must be one of .* not 'fast'"):
        asked_runtime()
