"""The folded ResUNet30 as an ONNX graph: one file for all queries and all windows.

Inputs of the graph:

* ``maps`` (B, 1, T, 1024): what `resunet_folded.normalised` gives
* ``shifts`` (shifts,): a query's, from `FoldedUNet.shifts`
* ``starts`` and ``stops`` (slices,): the frames that each step keeps, from `resunet_onnx.slices`

Its output is ``masks`` (B, 3, frames, 1024). The shifts are an input because that measured no slower than a
graph for each query with its shifts inside; the window is, so that one file serves all profiles.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from soundlasso.models.resunet_folded import PIECES, FoldedBlock, FoldedDecoder, FoldedUNet

_OPSET = 17  # the first with which all that is used here has its present form, and widely known
_IR_VERSION = 9
_LEAK = 0.01  # torch's default, which the published network has
_CHANNELS, _TIME = [1], [2]  # axes


def export(network: FoldedUNet) -> bytes:
    """Return the file of the graph; the same network gives the same bytes."""
    content: bytes = _Writer(network).model().SerializeToString(deterministic=True)
    return content


class _Writer:
    """A graph in the making: each method adds nodes and returns the name of what they give."""

    def __init__(self, network: FoldedUNet) -> None:
        self._network = network
        self._nodes: list[onnx.NodeProto] = []
        self._numbers: list[onnx.TensorProto] = []
        self._made = 0
        pieces = sorted(network.film.spans.values(), key=lambda span: span.start)
        names = self._split("shifts", [span.stop - span.start for span in pieces])
        self._shifts = {span.start: name for span, name in zip(pieces, names, strict=True)}
        self._count = 6 * PIECES + 2 * len(network.strides) - 1
        bounds = (self._split(name, [1] * self._count) for name in ("starts", "stops"))
        self._slices = zip(*bounds, strict=True)

    def model(self) -> onnx.ModelProto:
        """Return the whole graph."""
        output = self._add("Identity", self._unet("maps"), output="masks")
        counts = {"shifts": len(self._network.film.bias), "starts": None, "stops": None}
        inputs = [_described("maps", TensorProto.FLOAT, ["rows", 1, "frames", "bins"])]
        for name, count in counts.items():
            kind = TensorProto.FLOAT if count else TensorProto.INT64
            inputs.append(_described(name, kind, [count or self._count]))
        outputs = [_described(output, TensorProto.FLOAT, ["rows", 3, "kept", "bins"])]
        graph = helper.make_graph(self._nodes, "resunet30", inputs, outputs, self._numbers)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
        )

    def _unet(self, x: str) -> str:
        network = self._network
        x, skip = self._encoded_outermost(x)
        skips = []
        for encoder, stride in zip(network.encoders[1:-1], network.strides[1:], strict=True):
            skips.append(self._block(x, encoder))
            x = self._pooled(skips[-1], stride)
        x = self._block(x, network.encoders[-1])
        for decoder in network.decoders[:-1]:
            x = self._decoded(x, self._slice(skips.pop()), decoder)
        pieces = [self._decoded_piece(x, skip) for _ in range(PIECES)]
        return self._add("Concat", *pieces, axis=2)

    def _encoded_outermost(self, x: str) -> tuple[str, str]:
        network, maps = self._network, []
        for _ in range(PIECES):
            heard = self._conv(self._slice(x), network.pre_conv)
            maps.append(self._slice(self._block(heard, network.encoders[0])))
        whole = self._add("Concat", *maps, axis=2)
        skip = self._slice(whole)
        return self._pooled(whole, network.strides[0]), skip

    def _decoded_piece(self, x: str, skip: str) -> str:
        network = self._network
        maps = self._decoded(self._slice(x), self._slice(skip), network.decoders[-1])
        return self._conv(self._slice(maps), network.after_conv)

    def _decoded(self, x: str, skip: str, decoder: nn.Module) -> str:
        assert isinstance(decoder, FoldedDecoder)
        x = self._slice(self._enlarged(x, decoder))
        return self._block(self._add("Concat", skip, x, axis=1), decoder.block)

    def _pooled(self, x: str, stride: Sequence[int]) -> str:
        return self._add("AveragePool", x, kernel_shape=list(stride), strides=list(stride))

    def _block(self, x: str, block: nn.Module) -> str:
        assert isinstance(block, FoldedBlock)
        y = self._activated(x, block.scale, block.first)
        y = self._add("Conv", y, self._const(block.weight1), self._shifts[block.second.start], pads=[1] * 4)
        y = self._add("LeakyRelu", y, alpha=_LEAK)
        y = self._add("Conv", y, self._const(block.weight2), pads=[1] * 4)
        return self._add("Add", y, self._conv(x, block.shortcut))

    def _enlarged(self, x: str, decoder: FoldedDecoder) -> str:
        x = self._activated(x, decoder.scale, decoder.first)
        stride = list(decoder.stride)
        return self._add("ConvTranspose", x, self._const(decoder.weight), strides=stride)

    def _activated(self, x: str, scale: Tensor, shift: slice) -> str:
        upright = self._const(np.array([1, -1, 1, 1]))
        shifts = self._add("Reshape", self._shifts[shift.start], upright)
        shifted = self._add("Add", self._add("Mul", x, self._const(scale[None])), shifts)
        return self._add("LeakyRelu", shifted, alpha=_LEAK)

    def _conv(self, x: str, layer: nn.Module) -> str:
        if not isinstance(layer, nn.Conv2d):
            return x
        assert layer.bias is not None
        return self._add("Conv", x, self._const(layer.weight), self._const(layer.bias))

    def _slice(self, x: str) -> str:
        """Keep the frames of the next pair of ``starts`` and ``stops``."""
        return self._add("Slice", x, *next(self._slices), self._const(np.array([2])))

    def _split(self, x: str, sizes: list[int]) -> list[str]:
        names = [f"{x}{number}" for number in range(len(sizes))]
        self._nodes.append(helper.make_node("Split", [x, self._const(np.array(sizes))], names, axis=0))
        return names

    def _const(self, values: Tensor | npt.NDArray[Any]) -> str:
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        self._made += 1
        self._numbers.append(numpy_helper.from_array(np.ascontiguousarray(array), f"numbers{self._made}"))
        return f"numbers{self._made}"

    def _add(self, kind: str, *inputs: str, output: str = "", **settings: Any) -> str:
        self._made += 1
        name = output or f"{kind.lower()}{self._made}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **settings))
        return name


def _described(name: str, kind: int, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)
