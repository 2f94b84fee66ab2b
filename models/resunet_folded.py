"""ResUNet30 for inference: the same numbers in less time.

Three things differ from `ResUNet30` in evaluation mode, none of them in what is computed:

* A batch norm is one scale and one shift per channel. The shifts, which FiLM adds to, become part of
  FiLM: one matrix product per query gives all of them. The scale of a block's second norm goes into the
  convolution before it, and the shift becomes that convolution's bias.
* Maps lie channels-last, and activations are computed in place.
* Only the frames that are kept are decoded. A window's `past` and `future` frames pass through the encoder,
  where what lies 3.2 seconds away still counts, and from there on each level keeps what its convolutions
  can still reach: the decoder, two thirds of the work, costs the same with context as without.
* The outermost level, whose maps are the largest, is computed in `PIECES` pieces of time, which overlap by
  what its convolutions reach: a third of the memory, and no slower.
"""

import copy
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, leaky_relu_, pad

from soundlasso.models.resunet import FRAME_STRIDE, ConvBlock, Decoder, ResUNet30, UNet

PIECES = 4  # of the outermost level
_REACH = 2  # frames that a block's two 3x3 convolutions reach to each side

Maps = Callable[[Tensor, Tensor], Tensor]
"""Magnitudes (B, T, 1025) and shifts (shifts,) in, maps (B, 3, T - past - future, 1024) out.

Where a network takes several queries at once, shifts (B, shifts) are each row's own.
"""


class WindowNetwork(Protocol):
    """What a window engine needs of a network: `FoldedUNet`, or its graph in another runtime."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    @property
    def queries_at_once(self) -> int:
        """How many queries it is fastest with in one call."""
        ...

    @property
    def windows_at_once(self) -> int:
        """How many windows it is fastest with in one call, where that many are there."""
        ...

    def shifts(self, query: Tensor) -> Tensor:
        """Return all shifts for one query's vector, (condition_size,) -> (shifts,)."""
        ...

    def window(self, rows: int, frames: int, past: int, future: int) -> Maps:
        """Return what gives the maps of such windows; the tensor it gives lasts until its next call."""
        ...


class FoldedUNet(nn.Module):
    """Magnitudes and the queries' shifts in, three maps out, for `hop` frames of each window.

    Parameters
    ----------
    network
        The filled network; it is not changed and not kept.
    queries_at_once, windows_at_once
        How many one call takes. A processor gains nothing by more than one, and takes their memory.
    """

    def __init__(self, network: ResUNet30, queries_at_once: int = 1, windows_at_once: int = 1) -> None:
        super().__init__()
        self.queries_at_once, self.windows_at_once = queries_at_once, windows_at_once
        base, film = network.base.eval(), _FoldedFiLM(network)
        bin_scale, bin_shift = _affine(base.bn0)
        self.bin_scale = nn.Buffer(bin_scale[:-1])  # the Nyquist bin is not looked at
        self.bin_shift = nn.Buffer(bin_shift[:-1])
        self.pre_conv, self.after_conv = base.pre_conv, base.after_conv
        self.strides = base.strides
        levels = range(1, len(base.strides) + 1)
        names = [f"encoder_block{level}" for level in levels] + ["conv_block7a"]
        self.encoders = nn.ModuleList(FoldedBlock(base, f"{name}.conv_block1", film) for name in names)
        self.decoders = nn.ModuleList(FoldedDecoder(base, f"decoder_block{level}", film) for level in levels)
        self.film = film

    def shifts(self, query: Tensor) -> Tensor:
        """Return all shifts for one query's vector, (condition_size,) -> (shifts,)."""
        shifts: Tensor = self.film(query)
        return shifts

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.bin_scale.device

    def window(self, rows: int, frames: int, past: int, future: int) -> Maps:
        """Return `forward` for such windows; any number of rows and frames are the same to it."""
        return partial(self, past=past, future=future)

    def forward(self, magnitudes: Tensor, shifts: Tensor, past: int = 0, future: int = 0) -> Tensor:
        """Return the maps of the frames between `past` and `future`.

        Shape: (B, T, 1025), (shifts,) or (B, shifts) -> (B, 3, T - past - future, 1024).

        T is rounded up to the network's stride of 32 with maps of zero.
        """
        end = magnitudes.shape[1] - future
        x = normalised(magnitudes, self.bin_scale, self.bin_shift)
        *spans, outermost = needed_spans(past, end, x.shape[2], [stride for stride, _ in self.strides])
        x, skip = self._encoded_outermost(x, shifts, outermost)
        skips = []
        inner = zip(self.encoders[1:-1], self.strides[1:], reversed(spans), strict=True)
        for encoder, stride, (start, stop) in inner:
            x = encoder(x, shifts)
            skips.append(x[:, :, start:stop].clone(memory_format=torch.channels_last))  # frees the rest
            x = avg_pool2d(x, stride)
        x = self.encoders[-1](x, shifts)
        first = 0
        for decoder, (start, _) in zip(self.decoders[:-1], spans, strict=True):
            x, first = decoder(x, skips.pop(), shifts, first, start), start
        return self._decoded_outermost(x, skip, shifts, first, outermost[0], (past, end))

    def _encoded_outermost(self, x: Tensor, shifts: Tensor, span: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the outermost level's pooled maps, and those of the frames in `span`."""
        pooled, skips = [], []
        for piece in cut(0, x.shape[2], 0, x.shape[2]):
            heard = self.pre_conv(x[:, :, slice(*piece.heard)]).contiguous(memory_format=torch.channels_last)
            maps = self.encoders[0](heard, shifts)[:, :, slice(*piece.kept)]
            pooled.append(avg_pool2d(maps, self.strides[0]))
            start, stop = (min(max(0, edge - piece.start), maps.shape[2]) for edge in span)
            skips.append(maps[:, :, start:stop].clone(memory_format=torch.channels_last))  # frees the rest
        return torch.cat(pooled, 2), torch.cat(skips, 2)

    def _decoded_outermost(
        self, x: Tensor, skip: Tensor, shifts: Tensor, first: int, start: int, kept: tuple[int, int]
    ) -> Tensor:
        """Return the maps of the frames `kept`; the frames of `x` begin at `first`, of `skip` at `start`."""
        decoder, (stride, _), maps = self.decoders[-1], self.strides[0], []
        for piece in cut(*kept, start, start + skip.shape[2]):
            begin, end = piece.heard
            above = x[:, :, begin // stride - first : -(-end // stride) - first]
            y = decoder(above, skip[:, :, begin - start : end - start], shifts, begin // stride, begin)
            maps.append(self.after_conv(y[:, :, slice(*piece.kept)]))
        return torch.cat(maps, 2)


class Piece(NamedTuple):
    """A piece of time: its first frame, the frames to hear for it, and which of their maps are its own."""

    start: int
    heard: tuple[int, int]
    kept: tuple[int, int]


def cut(start: int, stop: int, least: int, most: int) -> list[Piece]:
    """Return `PIECES` pieces of the frames `start` to `stop`, which hear nothing outside `least` to `most`.

    A frame is the least that a piece can be.
    """
    count = min(PIECES, stop - start)
    edges = [start + (stop - start) * number // count for number in range(count + 1)]
    found = []
    for begin, end in itertools.pairwise(edges):
        heard = max(least, begin - _REACH), min(most, end + _REACH)
        found.append(Piece(begin, heard, (begin - heard[0], end - heard[0])))
    return found


def normalised(magnitudes: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return the U-Net's input, (B, T, 1025) -> (B, 1, T, 1024), T rounded up to the stride of 32."""
    x = torch.addcmul(shift, magnitudes[..., :-1], scale)[:, None]
    return pad(x, (0, 0, 0, -x.shape[2] % FRAME_STRIDE))


def needed_spans(start: int, stop: int, frames: int, strides: Sequence[int]) -> list[tuple[int, int]]:
    """Return the frames that each decoder must hear for frames `start` to `stop` to come out right.

    Deepest first; spans are in frames of each level; `strides` are the encoder's, outermost first.
    """
    spans = []
    for stride in strides:
        start, stop = max(0, start - _REACH), min(frames, stop + _REACH)
        spans.append((start, stop))
        start, stop, frames = start // stride, -(-stop // stride), frames // stride
    return spans[::-1]


class _FoldedFiLM(nn.Module):
    """Every shift of a query from one matrix product: FiLM's own and the batch norm's."""

    def __init__(self, network: ResUNet30) -> None:
        super().__init__()
        self.spans: dict[str, slice] = {}
        weights, biases, count = [], [], 0
        for name, layer in network.film.items():
            norm = name.replace("->", ".").replace(".beta", ".bn")
            if "decoder" in norm and "conv_block2" not in norm and norm.endswith("bn2"):
                continue  # published, never used
            _, shift = _affine(network.base.get_submodule(norm))
            assert isinstance(layer, nn.Linear)
            weights.append(_skip_first(layer.weight, norm))
            biases.append(_skip_first(layer.bias + shift, norm))
            self.spans[norm] = slice(count, count + len(shift))
            count += len(shift)
        self.weight = nn.Buffer(torch.cat(weights).detach())
        self.bias = nn.Buffer(torch.cat(biases).detach())

    def forward(self, query: Tensor) -> Tensor:
        return nn.functional.linear(query, self.weight, self.bias)


class FoldedBlock(nn.Module):
    """A `ConvBlock` whose second norm is part of the convolution before it."""

    def __init__(self, base: UNet, name: str, film: _FoldedFiLM) -> None:
        super().__init__()
        block = base.get_submodule(name)
        assert isinstance(block, ConvBlock)
        self.first, self.second = film.spans[f"{name}.bn1"], film.spans[f"{name}.bn2"]
        scale1, _ = _affine(block.bn1)
        scale2, _ = _affine(block.bn2)
        self.scale = nn.Buffer(_skip_first(scale1, f"{name}.bn1")[:, None, None])
        weight1 = _skip_first(block.conv1.weight, f"{name}.bn1", 1)
        self.weight1 = nn.Buffer(_channels_last(weight1 * scale2[:, None, None, None]))
        self.weight2 = nn.Buffer(_channels_last(block.conv2.weight))
        self.shortcut = copy.deepcopy(block.shortcut)
        if isinstance(self.shortcut, nn.Conv2d):
            weight = _skip_first(self.shortcut.weight, f"{name}.bn1", 1)
            self.shortcut.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: Tensor, shifts: Tensor) -> Tensor:
        """Return the block's maps, with all shifts of a query."""
        y = leaky_relu_(torch.addcmul(shifts[..., self.first, None, None], x, self.scale))
        y = leaky_relu_(_shifted_conv(y, self.weight1, shifts[..., self.second]))
        y = conv2d(y, self.weight2, padding=1)
        maps: Tensor = y.add_(self.shortcut(x))
        return maps


class FoldedDecoder(nn.Module):
    """A `Decoder` that computes only the frames that are needed."""

    def __init__(self, base: UNet, name: str, film: _FoldedFiLM) -> None:
        super().__init__()
        decoder = base.get_submodule(name)
        assert isinstance(decoder, Decoder)
        self.first = film.spans[f"{name}.bn1"]
        self.stride = decoder.conv1.stride
        scale, _ = _affine(decoder.bn1)
        self.scale = nn.Buffer(scale[:, None, None])
        self.weight = nn.Buffer(_channels_last(decoder.conv1.weight))
        self.block = FoldedBlock(base, f"{name}.conv_block2", film)

    def forward(self, x: Tensor, skip: Tensor, shifts: Tensor, first: int, start: int) -> Tensor:
        """Return the maps of the frames of `skip`, which begin at `start`; those of `x` at `first`."""
        start -= first * self.stride[0]
        x = leaky_relu_(torch.addcmul(shifts[..., self.first, None, None], x, self.scale))
        x = conv_transpose2d(x, self.weight, stride=self.stride)
        x = torch.cat((skip, x[:, :, start : start + skip.shape[2]]), 1)
        maps: Tensor = self.block(x, shifts)
        return maps


def _shifted_conv(x: Tensor, weight: Tensor, shift: Tensor) -> Tensor:
    """Return a convolution's maps plus one shift per channel, (channels,), or per row too, (B, channels)."""
    if shift.dim() == 1:
        return conv2d(x, weight, shift, padding=1)
    return conv2d(x, weight, padding=1).add_(shift[..., None, None])


def _affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the scale and the shift that a batch norm applies in evaluation mode."""
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None and norm.running_mean is not None
    scale = norm.weight * torch.rsqrt(norm.running_var.double() + norm.eps)
    return scale.float().detach(), (norm.bias - norm.running_mean * scale).float().detach()


def _skip_first(channels: Tensor, norm: str, axis: int = 0) -> Tensor:
    """Return what belongs to the channels before `norm`, in the order in which a `FoldedDecoder` joins them.

    The published order is the maps from below, then the skip. The other way round, OpenVINO, which computes
    first what is joined first, soon cuts the skip to what is needed and lets go of the rest.
    """
    is_joined = norm.startswith("decoder") and norm.endswith("conv_block2.bn1")
    return channels.roll(channels.shape[axis] // 2, axis) if is_joined else channels


def _channels_last(weight: Tensor) -> Tensor:
    return weight.detach().contiguous(memory_format=torch.channels_last)
