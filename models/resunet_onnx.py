"""ResUNet30 in OpenVINO: the exported graph compiled for the processor and for one shape of window.

Of ONNX Runtime and OpenVINO, which measured about equally fast, OpenVINO takes a fifth of the memory: it
plans a window's maps once, and takes none while it runs.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from soundlasso.models.resunet import FRAME_STRIDE
from soundlasso.models.resunet_folded import FoldedUNet, Maps, cut, needed_spans, normalised

if TYPE_CHECKING:
    from openvino import CompiledModel

_SHAPES = 2  # of windows whose compiled networks are kept


class OnnxUNet:
    """`FoldedUNet`'s numbers, to float rounding, in less time and memory.

    Parameters
    ----------
    network
        Its FiLM and the levels of its bins are kept, its convolutions are not.
    read_graph
        Gives what `resunet_graph.export` made of it; called for each shape of window, for the weights that
        are compiled are a copy.
    """

    queries_at_once = 1  # each one's shifts are part of its convolutions
    windows_at_once = 1  # two take as long as one and one

    def __init__(self, network: FoldedUNet, read_graph: Callable[[], bytearray]) -> None:
        import openvino

        self.device = torch.device("cpu")
        self._film, self._strides = network.film, [stride for stride, _ in network.strides]
        self._bin_scale, self._bin_shift = network.bin_scale, network.bin_shift
        self._core = openvino.Core()
        self._read_graph = read_graph
        self._compiled = lru_cache(maxsize=_SHAPES)(self._compile)

    def shifts(self, query: Tensor) -> Tensor:
        """Return all shifts for one query's vector, (condition_size,) -> (shifts,)."""
        shifts: Tensor = self._film(query)
        return shifts

    def window(self, rows: int, frames: int, past: int, future: int) -> Maps:
        """Return what gives the maps of such windows, in memory of its own.

        The tensor that it gives lasts until its next call.
        """
        padding = -frames % FRAME_STRIDE  # which `normalised` adds
        compiled = self._compiled(rows, frames + padding, past, future + padding)
        request = compiled.create_infer_request()

        def maps(magnitudes: Tensor, shifts: Tensor) -> Tensor:
            heard = normalised(magnitudes, self._bin_scale, self._bin_shift)
            inputs = {"maps": heard.numpy(), "shifts": shifts.numpy()}
            return torch.from_numpy(request.infer(inputs, share_inputs=True, share_outputs=True)["masks"])

        return maps

    def _compile(self, rows: int, frames: int, past: int, future: int) -> "CompiledModel":
        from openvino import opset13, utils

        model = self._core.read_model(bytes(self._read_graph()), b"")
        bounds = np.array(slices(frames, past, future, self._strides))
        inputs = {parameter.friendly_name: parameter for parameter in model.get_parameters()}
        for name, values in zip(("starts", "stops"), bounds.T, strict=True):
            utils.replace_node(inputs[name], opset13.constant(np.ascontiguousarray(values)))
            model.remove_parameter(inputs[name])
        model.reshape({"maps": [rows, 1, frames, len(self._bin_scale)]})
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # or some processors would round to bfloat16
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,  # several processes would all be pinned to the same cores
        }
        return self._core.compile_model(model, "CPU", settings)


def slices(frames: int, past: int, future: int, strides: Sequence[int]) -> list[tuple[int, int]]:
    """Return the graph's ``starts`` and ``stops``, pair by pair, for the maps between `past` and `future`.

    For each piece of the outermost encoder, what it hears and what it keeps; the outermost skip; for each
    decoder, deepest first, its skip and what it enlarged; for each piece of the outermost one, what it hears
    of the maps below and of the skip, what it enlarged, and what it keeps.
    """
    kept = past, frames - future
    *spans, (outer, end) = needed_spans(*kept, frames, strides)
    found = [span for piece in cut(0, frames, 0, frames) for span in (piece.heard, piece.kept)]
    found.append((outer, end))
    first = 0
    for (start, stop), stride in zip(spans, reversed(strides[1:]), strict=True):
        above = start - first * stride
        found += [(start, stop), (above, above + stop - start)]
        first = start
    stride = strides[0]
    for piece in cut(*kept, outer, end):
        start, stop = piece.heard
        above = start // stride
        found += [(above - first, -(-stop // stride) - first), (start - outer, stop - outer)]
        found += [(start - above * stride, stop - above * stride), piece.kept]
    return found
