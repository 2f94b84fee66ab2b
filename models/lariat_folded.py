"""lariat for inference: the same numbers in a fraction of the time, any number of frames at a time.

Batch norm goes into the convolutions, and every convolution becomes one matrix product: a frame is
kept as (bands, channels), so a band's neighbours lie side by side in memory and a strided view of
them is the matrix.  A live frame is some sixty such products of a few microseconds each, so that what
lies around them counts as much as they do.  `Hearing` therefore lays all memory out beforehand:
for each number of frames a `_Run` whose layers are bound to the places they read and write.

Shapes: B batch, T frames, F = 256 bands, W bands of a level, C channels, D maps, d width of the
bottom, Q queries.  Sheets of a level have a silent band at either edge: (W + 2, B, T, C).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundlasso.dsp.bands import N_BANDS
from soundlasso.models.lariat import CENTRE, PAST_FRAMES, FeedForward, Lariat, Scan

LONGEST_RUN = 32  # frames: small enough for the caches, large enough for the matrix products


class Query(NamedTuple):
    """What the text says, once and for all frames."""

    weights: Tensor  # (Q, D)
    prior: Tensor  # (Q, F)
    presence: Tensor | None  # (Q, d + 1)


class Heard(NamedTuple):
    """The mixture as the network hears it: all that queries need."""

    maps: Tensor  # (F, B, T, D)
    bottom: Tensor  # (B, T, d)


class FoldedLariat:
    """The network's weights, folded; `Hearing` puts them to use on one mixture."""

    @torch.no_grad()
    def __init__(self, network: Lariat) -> None:
        network = network.eval()
        self.config = network.config
        self.position = network.get_buffer("position")
        self.device = self.position.device
        self.down = [_fold_conv(m.conv, m.norm) for m in network.down]  # type: ignore[arg-type]
        self.encode = [_fold_conv(m.conv, m.norm) for m in network.encode]  # type: ignore[arg-type]
        self.squeeze = _fold_linear(network.squeeze)
        recurrences = zip(network.scans, network.feeds, strict=True)
        self.recurrences = [_fold_recurrence(scan, feed) for scan, feed in recurrences]  # type: ignore[arg-type]
        self.expand = _fold_linear(network.expand)
        self.rise = [
            _fold_merge(_fold_double(up), _fold_conv(merge.conv, merge.norm))  # type: ignore[arg-type]
            for up, merge in zip(network.up, network.merge, strict=True)
        ]
        self.decode = [_fold_conv(m.conv, m.norm) for m in network.decode]  # type: ignore[arg-type]
        skip = _fold_conv(network.maps_skip, None)
        self.maps = _fold_double(network.maps_up), _Matrix(skip.weight, skip.bias + _bias(network.maps_up))
        self._network = network

    @torch.inference_mode()
    def ask(self, queries: Tensor) -> Query:
        """Turn text vectors into what mixes the maps.  Shape: (Q, 384)."""
        network = self._network
        presence = network.query_presence(queries) if self.config.presence else None
        return Query(network.query_weights(queries), network.query_prior(queries), presence)

    def gain(self, heard: Heard, query: Query) -> Tensor:
        """Return each query's gain per band.  Shape: (Q, B, T, F), 0 to 1."""
        n_bands, n_batch, n_frames, n_maps = heard.maps.shape
        mixed = (query.weights @ heard.maps.view(-1, n_maps).T).view(-1, n_bands, n_batch * n_frames)
        mixed += query.prior[..., None]
        return mixed.transpose(1, 2).contiguous().sigmoid_().view(-1, n_batch, n_frames, n_bands)

    def presence(self, heard: Heard, query: Query) -> Tensor | None:
        """Return how surely each sound is there, if it was learned.  Shape: (Q, B, T), 0 to 1."""
        if query.presence is None:
            return None
        key, bias = query.presence[:, :-1], query.presence[:, -1]
        return torch.sigmoid(torch.einsum("btd,qd->qbt", heard.bottom, key) + bias[:, None, None])


class Hearing:
    """One mixture being heard, from its first frame on; any cutting into frames gives the same.

    Frames go through in runs of a power of two, so that a few layouts serve every number of them.
    """

    def __init__(self, network: FoldedLariat, n_batch: int) -> None:
        self._network, self._n_batch = network, n_batch
        self._runs: dict[int, _Run] = {}
        self.reset()

    @torch.inference_mode()
    def reset(self) -> None:
        """Forget all frames."""
        self._last = self._run(1)
        self._last.forget()

    @torch.inference_mode()
    def hear(self, features: Tensor) -> Heard:
        """Hear the next frames, one or more; the answer's memory is used again by the next call.

        Shape: (B, T, F).
        """
        heard, done, n_frames = [], 0, features.shape[1]
        while done < n_frames:
            length = min(LONGEST_RUN, 1 << (n_frames - done).bit_length() - 1)
            run = self._run(length)
            run.follow(self._last)
            heard.append(run(features[:, done : done + length]))
            self._last, done = run, done + length
        if len(heard) == 1:
            return heard[0]
        return Heard(torch.cat([h.maps for h in heard], 2), torch.cat([h.bottom for h in heard], 1))

    def _run(self, n_frames: int) -> "_Run":
        if n_frames not in self._runs:
            self._runs[n_frames] = _Run(self._network, self._n_batch, n_frames)
        return self._runs[n_frames]


# ---------------------------------------------------------------- layers, bound to their memory


class _Matrix(NamedTuple):
    weight: Tensor  # (inputs, outputs)
    bias: Tensor  # (outputs,)


class _Product:
    """A view of what is there, its last axes taken as rows, times a matrix.

    Views that overlap themselves are laid out side by side first.
    """

    def __init__(self, view: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
        inputs, outputs = weight.shape
        rows = view.numel() // inputs
        self._view, self._laid_out = (
            view,
            None if view.is_contiguous() else torch.empty_like(view).contiguous(),
        )
        self._rows = (view if self._laid_out is None else self._laid_out).view(rows, inputs)
        self._weight = weight
        self._bias = weight.new_zeros(outputs) if bias is None else bias
        self.out = weight.new_empty(rows, outputs)

    def __call__(self) -> Tensor:
        """Return the product.  Shape: (rows, outputs)."""
        if self._laid_out is not None:
            self._laid_out.copy_(self._view)
        return torch.addmm(self._bias, self._rows, self._weight, out=self.out)


class _Causal:
    """A 3x3 convolution over (bands, frames), added to what came in.

    `fresh` is where the layer before writes, behind the last frames of the run before.
    """

    def __init__(self, matrix: _Matrix, target: Tensor) -> None:
        n_bands, n_batch, n_frames, n_channels = target.shape
        tape = target.new_zeros(n_bands + 2, n_batch, n_frames + PAST_FRAMES, n_channels)
        by_band, by_batch, by_frame, _ = tape.stride()
        patches = tape.as_strided(
            (n_bands, n_batch, n_frames, 3, 3 * n_channels), (by_band, by_batch, by_frame, by_band, 1)
        )
        self.fresh = tape[1:-1, :, PAST_FRAMES:]
        self._past = tape[:, :, :PAST_FRAMES].unbind(2)
        self._kept = tape[:, :, n_frames:].unbind(2)
        self._product = _Product(patches, *matrix)
        self._made = self._product.out.view(target.shape)
        self._target = target

    def forget(self) -> None:
        for frame in self._kept:
            frame.zero_()

    def follow(self, before: "_Causal") -> None:
        for past, kept in zip(self._past, before._kept, strict=True):
            past.copy_(kept)

    def __call__(self) -> None:
        self._product().relu_()
        torch.add(self.fresh, self._made, out=self._target)


class _Halve:
    """A 1x4 convolution of stride 2 over bands, and ReLU."""

    def __init__(self, matrix: _Matrix, source: Tensor, target: Tensor) -> None:
        self._product = _Product(_neighbours(source, 4, 2), *matrix)
        self._made, self._target = self._product.out.view(target.shape), target

    def __call__(self) -> None:
        self._product()
        torch.clamp_min(self._made, 0, out=self._target)


class _Rise:
    """A transposed 1x4 convolution of stride 2, something from beside it, and ReLU."""

    def __init__(self, weight: Tensor, source: Tensor, beside: _Product, target: Tensor) -> None:
        self._product, self._beside, self._target = (
            _Product(_neighbours(source, 3, 1), weight),
            beside,
            target,
        )
        n_bands, n_batch, n_frames, n_channels = target.shape
        by_parity = (n_bands // 2, n_batch, n_frames, 2, n_channels)
        self._risen = self._product.out.view(by_parity).permute(0, 3, 1, 2, 4)
        self._sum = beside.out.view(self._risen.shape)
        self._made = beside.out.view(target.shape)

    def __call__(self) -> None:
        self._beside()
        self._product()
        self._sum.add_(self._risen)
        torch.clamp_min(self._made, 0, out=self._target)


class _Folds(NamedTuple):
    """One scan and its feed-forward as four matrices; the norms' gains are folded in."""

    gates: _Matrix
    out: _Matrix
    rise: _Matrix
    fall: _Matrix


class _Recurrence:
    """One gated linear recurrence over frames and its feed-forward."""

    def __init__(self, folds: _Folds, n_batch: int, n_frames: int) -> None:
        self._folds = folds
        width = len(folds.out.bias)
        self._width = (width,)
        self._gates = folds.gates.weight.new_empty(n_batch * n_frames, 3 * width)
        self._forget, value, self._gate = self._gates.view(n_batch, n_frames, 3 * width).chunk(3, -1)
        self._keep = torch.empty_like(value).contiguous()
        states = torch.zeros_like(self._keep)
        self._states = states
        self._frames = list(zip(value.unbind(1), self._keep.unbind(1), states.unbind(1), strict=True))
        self._rows = states.view(-1, width)
        self._last = states[:, -1]
        self._before = self._last

    def forget(self) -> None:
        self._last.zero_()

    def follow(self, before: "_Recurrence") -> None:
        self._before = before._last

    def __call__(self, x: Tensor) -> Tensor:
        """Shape: (B * T, d) -> (B * T, d)."""
        gates, out, rise, fall = self._folds
        torch.addmm(gates.bias, torch.layer_norm(x, self._width), gates.weight, out=self._gates)
        torch.sigmoid(self._forget, out=self._keep)
        h = self._before
        for value, keep, state in self._frames:
            h = torch.lerp(value, h, keep, out=state)  # keep * h + (1 - keep) * value
        spoken = functional.silu(self._gate).mul_(self._states).view_as(x)
        x = torch.addmm(out.bias, spoken, out.weight).add_(x)
        risen = torch.addmm(rise.bias, torch.layer_norm(x, self._width), rise.weight)
        return torch.addmm(fall.bias, functional.gelu(risen), fall.weight).add_(x)


class _Run:
    """The network laid out for a number of frames."""

    def __init__(self, network: FoldedLariat, n_batch: int, n_frames: int) -> None:
        def sheet(n_bands: int, n_channels: int) -> Tensor:
            return network.position.new_zeros(n_bands + 2, n_batch, n_frames, n_channels)

        heard = sheet(N_BANDS, 2)
        heard[1:-1, ..., 1] = network.position[:, None, None]
        self._features = heard[1:-1, ..., 0]
        self._layers: list[Callable[[], None]] = []
        self.causals: list[_Causal] = []
        sheets = [heard]
        for halve, encode in zip(network.down, network.encode, strict=True):
            target = sheet((len(sheets[-1]) - 2) // 2, len(encode.bias))
            causal = self._causal(encode, target)
            self._layers += [_Halve(halve, sheets[-1], causal.fresh), causal]
            sheets.append(target)
        self._bottom(network, sheets[-1][1:-1])
        self._layers.append(self._recur)
        source = sheets.pop()
        for (rise, across), decode in zip(network.rise, network.decode, strict=True):
            beside = _Product(sheets[-1][1:-1], *across)
            target = sheet(2 * (len(source) - 2), len(decode.bias))
            causal = self._causal(decode, target)
            self._layers += [_Rise(rise, source, beside, causal.fresh), causal]
            source = target
            sheets.pop()
        rise, across = network.maps
        self._maps = heard.new_empty(N_BANDS, n_batch, n_frames, network.config.n_maps)
        self._layers.append(_Rise(rise, source, _Product(_neighbours(heard, 3, 1), *across), self._maps))

    def _causal(self, matrix: _Matrix, sheet: Tensor) -> _Causal:
        self.causals.append(_Causal(matrix, sheet[1:-1]))
        return self.causals[-1]

    def _bottom(self, network: FoldedLariat, lowest: Tensor) -> None:
        n_bands, n_batch, n_frames, n_channels = lowest.shape
        self._squeeze = _Product(lowest.permute(1, 2, 0, 3), *network.squeeze)
        self.recurrences = [_Recurrence(folds, n_batch, n_frames) for folds in network.recurrences]
        self._deep = lowest.new_empty(n_batch, n_frames, network.config.bottom)
        self._expand = _Product(self._deep, *network.expand)
        expanded = self._expand.out.view(n_batch, n_frames, n_bands, n_channels)
        self._lowest, self._expanded = lowest, expanded.permute(2, 0, 1, 3)

    def _recur(self) -> None:
        deep = self._squeeze()
        for recurrence in self.recurrences:
            deep = recurrence(deep)
        self._deep.copy_(deep.view_as(self._deep))
        self._expand()
        self._lowest.add_(self._expanded)

    def forget(self) -> None:
        for causal in self.causals:
            causal.forget()
        for recurrence in self.recurrences:
            recurrence.forget()

    def follow(self, before: "_Run") -> None:
        for causal, past in zip(self.causals, before.causals, strict=True):
            causal.follow(past)
        for recurrence, last in zip(self.recurrences, before.recurrences, strict=True):
            recurrence.follow(last)

    def __call__(self, features: Tensor) -> Heard:
        """Shape: (B, T, F)."""
        torch.add(features.permute(2, 0, 1), CENTRE, out=self._features)
        for layer in self._layers:
            layer()
        return Heard(self._maps, self._deep)


def _neighbours(sheet: Tensor, width: int, stride: int) -> Tensor:
    """Lay each band's neighbours side by side.

    Shape: (W + 2, B, T, C) -> ((W + 2 - width) / stride + 1, B, T, width, C), a view.
    """
    n_rows, n_batch, n_frames, n_channels = sheet.shape
    by_band, by_batch, by_frame, _ = sheet.stride()
    shape = ((n_rows - width) // stride + 1, n_batch, n_frames, width, n_channels)
    return sheet.as_strided(shape, (stride * by_band, by_batch, by_frame, by_band, 1))


# ---------------------------------------------------------------- folding


def _bias(conv: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    assert conv.bias is not None, "built with a bias"
    return conv.bias


def _fold_linear(linear: nn.Linear) -> _Matrix:
    return _Matrix(linear.weight.T.contiguous(), linear.bias.clone())


def _fold_norm(linear: nn.Linear, norm: nn.LayerNorm) -> _Matrix:
    """Fold a layer norm's gain and bias into the linear layer that follows it."""
    rows = (linear.weight * norm.weight).T.contiguous()
    return _Matrix(rows, linear.bias + linear.weight @ norm.bias)


def _fold_recurrence(scan: Scan, feed: FeedForward) -> _Folds:
    gates, rise = _fold_norm(scan.gates, scan.norm), _fold_norm(feed.rise, feed.norm)
    return _Folds(gates, _fold_linear(scan.out), rise, _fold_linear(feed.fall))


def _fold_conv(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> _Matrix:
    """Fold batch norm into a convolution: y = (x - mean) / sqrt(var + eps) * weight + bias.

    The matrix's rows are (bands, frames, inputs), as patches lie in memory.
    """
    kernel = conv.weight  # (out, in, frames, bands)
    if norm is None:
        bias = _bias(conv).clone()
    else:
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        kernel = kernel * scale[:, None, None, None]
        bias = norm.bias - norm.running_mean * scale
    return _Matrix(kernel.permute(3, 2, 1, 0).reshape(-1, kernel.shape[0]).contiguous(), bias)


def _fold_double(conv: nn.ConvTranspose2d) -> Tensor:
    """Write a transposed convolution (kernel 4, stride 2, padding 1) as a product on three bands.

    Output band 2 i takes input i by tap 1 and i - 1 by tap 3; band 2 i + 1 takes i by tap 2 and
    i + 1 by tap 0.

    Shape: (3 * in, 2 * out), even outputs before odd ones.
    """
    kernel = conv.weight[:, :, 0]  # (in, out, 4)
    none = torch.zeros_like(kernel[..., 0])
    even = torch.stack([kernel[..., 3], kernel[..., 1], none])  # (3, in, out)
    odd = torch.stack([none, kernel[..., 2], kernel[..., 0]])
    return torch.cat([even, odd], -1).flatten(0, 1)


def _fold_merge(up: Tensor, merge: _Matrix) -> tuple[Tensor, _Matrix]:
    """Fold the 1x1 convolution over (risen, skip) into what raises, and what is added from the skip.

    Nothing lies between raising and merging but sums, so the product of both matrices is one matrix.
    """
    outputs = merge.weight.shape[1]
    of_risen, of_skip = merge.weight[:outputs], merge.weight[outputs:]
    raised = up.view(-1, 2, outputs) @ of_risen  # even and odd bands alike
    return raised.flatten(1).contiguous(), _Matrix(of_skip.contiguous(), merge.bias)
