"""lariat for inference: the same numbers in a fraction of the time, any number of frames at a time.

Batch norm goes into the convolutions, and every convolution becomes one matrix product: a frame is
kept as (bands, channels), so a band's neighbours lie side by side in memory and a strided view of
them is the matrix.  A live frame is some thirty such products of a few microseconds each, so that
what lies around them counts as much as they do.  `Hearing` therefore lays all memory out beforehand:
for each number of frames a `_Run` whose layers are bound to the places they read and write.

Shapes: B batch, T frames, F = 256 bands, W bands of a level, C channels, D maps, d width of the
bottom, Q queries.  Sheets of a level have a silent band at either edge: (B, T, W + 2, C).
"""

from collections.abc import Callable, Sequence
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
    presence: tuple[Tensor, Tensor] | None  # (d, Q), (Q,)


class Heard(NamedTuple):
    """The mixture as the network hears it: all that queries need."""

    maps: Tensor  # (B, T, F, D)
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
        skip = _Matrix(skip.weight, skip.bias + _bias(network.maps_up))
        self.maps = _beside(_fold_double(network.maps_up), skip, shift=len(skip.weight) // 3)
        self._network = network

    @torch.inference_mode()
    def ask(self, queries: Tensor) -> Query:
        """Turn text vectors into what mixes the maps.  Shape: (Q, 384)."""
        network = self._network
        weights, prior = network.query_weights(queries), network.query_prior(queries)
        if not self.config.presence:
            return Query(weights, prior, None)
        presence = network.query_presence(queries)
        return Query(weights, prior, (presence[:, :-1].T.contiguous(), presence[:, -1].contiguous()))

    def gain(self, heard: Heard, query: Query) -> Tensor:
        """Return each query's gain per band.  Shape: (Q, B, T, F), 0 to 1."""
        n_batch, n_frames, n_bands, n_maps = heard.maps.shape
        mixed = (query.weights @ heard.maps.view(-1, n_maps).T).view(len(query.weights), -1, n_bands)
        return mixed.add_(query.prior[:, None]).sigmoid_().view(-1, n_batch, n_frames, n_bands)

    def presence(self, heard: Heard, query: Query) -> Tensor | None:
        """Return how surely each sound is there, if it was learned.  Shape: (Q, B, T), 0 to 1."""
        if query.presence is None:
            return None
        keys, bias = query.presence
        spoken = torch.addmm(bias, heard.bottom.view(-1, len(keys)), keys).sigmoid_()
        return spoken.T.view(-1, *heard.bottom.shape[:2])


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
            answer = run(features[:, done : done + length])
            self._last, done = run, done + length
            heard.append(answer if done == n_frames else Heard(answer.maps.clone(), answer.bottom.clone()))
        if len(heard) == 1:
            return heard[0]
        return Heard(torch.cat([h.maps for h in heard], 1), torch.cat([h.bottom for h in heard], 1))

    def _run(self, n_frames: int) -> "_Run":
        if n_frames not in self._runs:
            self._runs[n_frames] = _Run(self._network, self._n_batch, n_frames)
        return self._runs[n_frames]


# ---------------------------------------------------------------- layers, bound to their memory


class _Matrix(NamedTuple):
    weight: Tensor  # (inputs, outputs)
    bias: Tensor  # (outputs,)


class _Patches:
    """Views of what is there, laid out side by side as the rows of a matrix.

    The views share all axes but the last two, which become their part of a row.
    """

    def __init__(self, *views: Tensor) -> None:
        widths = [view.shape[-2] * view.shape[-1] for view in views]
        self.rows = views[0].new_empty(views[0].shape[:-2].numel(), sum(widths))
        parts = torch.split(self.rows, widths, 1)
        self._pairs = [(part.view(view.shape), view) for part, view in zip(parts, views, strict=True)]

    def lay_out(self) -> None:
        for place, view in self._pairs:
            place.copy_(view)


class _Resized:
    """A 1x4 convolution that halves the bands, or a transposed one that doubles them, and ReLU."""

    def __init__(self, matrix: _Matrix, patches: _Patches, target: Tensor) -> None:
        self._matrix, self._patches, self._target = matrix, patches, target
        self._made = target.new_empty(target.shape)
        self._rows = self._made.view(len(patches.rows), -1)

    def __call__(self) -> None:
        self._patches.lay_out()
        torch.addmm(self._matrix.bias, self._patches.rows, self._matrix.weight, out=self._rows)
        torch.clamp_min(self._made, 0, out=self._target)


class _Causal:
    """A 3x3 convolution over (frames, bands) and ReLU, added to what came in.

    `fresh` is where the layer before writes, behind the last frames of the run before; the sum goes
    to `sheet`.
    """

    def __init__(self, matrix: _Matrix, tape: Tensor) -> None:
        by_batch, by_frame, by_band, _ = tape.stride()
        self.fresh = tape[:, PAST_FRAMES:, 1:-1]
        n_batch, n_frames, n_bands, n_channels = self.fresh.shape
        patches = tape.as_strided(
            (n_batch, n_frames, n_bands, 3, 3 * n_channels),
            (by_batch, by_frame, by_band, by_frame, 1),
            tape.storage_offset(),
        )
        self.sheet = tape.new_zeros(n_batch, n_frames, n_bands + 2, n_channels)
        self._matrix, self._patches, self._target = matrix, _Patches(patches), self.sheet[:, :, 1:-1]
        self._made = tape.new_empty(self.fresh.shape)
        self._rows = self._made.view(-1, n_channels)

    def __call__(self) -> None:
        self._patches.lay_out()
        torch.addmm(self._matrix.bias, self._patches.rows, self._matrix.weight, out=self._rows).relu_()
        torch.add(self.fresh, self._made, out=self._target)


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
        half = torch.addmm(rise.bias, torch.layer_norm(x, self._width), rise.weight)
        return torch.addmm(fall.bias, _gelu_of_twice(half), fall.weight).add_(x)


def _gelu_of_twice(half: Tensor) -> Tensor:
    """Return gelu(2 half) = half (1 + erf(sqrt(2) half)); torch's own takes thrice as long on one frame."""
    return torch.addcmul(half, half, (half * 2**0.5).erf_())


class _Bottom:
    """The narrowest level: all bands of a frame at once, through the recurrences, added to what came in."""

    def __init__(self, network: FoldedLariat, sheet: Tensor) -> None:
        n_batch, n_frames = sheet.shape[:2]
        self._rows = sheet[:, :, 1:-1].view(n_batch * n_frames, -1)
        self._squeeze, self._expand = network.squeeze, network.expand
        self.recurrences = [_Recurrence(folds, n_batch, n_frames) for folds in network.recurrences]
        self.deep = sheet.new_empty(n_batch, n_frames, network.config.bottom)

    def __call__(self) -> None:
        deep = torch.addmm(self._squeeze.bias, self._rows, self._squeeze.weight)
        for recurrence in self.recurrences:
            deep = recurrence(deep)
        self._rows.add_(torch.addmm(self._expand.bias, deep, self._expand.weight))
        self.deep = deep.view(self.deep.shape)


class _Memory:
    """What the causal convolutions read: the frames of this run behind the last ones of the run before.

    It is one for all of them, so that it moves on in one go.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], n_batch: int, n_frames: int, like: Tensor) -> None:
        widths = [(n_bands + 2) * n_channels for n_bands, n_channels in sizes]
        frames = like.new_zeros(n_batch, PAST_FRAMES + n_frames, sum(widths))
        parts = torch.split(frames, widths, -1)
        self.tapes = [
            part.view(*part.shape[:-1], -1, size[1]) for part, size in zip(parts, sizes, strict=True)
        ]
        self._past = frames[:, :PAST_FRAMES].unbind(1)
        self._kept = frames[:, n_frames:].unbind(1)

    def forget(self) -> None:
        for frame in self._kept:
            frame.zero_()

    def follow(self, before: "_Memory") -> None:
        for past, kept in zip(self._past, before._kept, strict=True):
            past.copy_(kept)


class _Run:
    """The network laid out for a number of frames."""

    def __init__(self, network: FoldedLariat, n_batch: int, n_frames: int) -> None:
        sizes = [(N_BANDS >> level, len(m.bias)) for level, m in enumerate(network.encode, 1)]
        self._memory = _Memory([*sizes, *sizes[-2::-1]], n_batch, n_frames, network.position)
        matrices = [*network.encode, *network.decode]
        causals = [_Causal(*each) for each in zip(matrices, self._memory.tapes, strict=True)]
        self._layers: list[Callable[[], None]] = []

        source = heard = network.position.new_zeros(n_batch, n_frames, N_BANDS + 2, 2)
        heard[:, :, 1:-1, 1] = network.position
        self._features = heard[:, :, 1:-1, 0]
        skips = []
        for halve, causal in zip(network.down, causals, strict=False):
            skips.append(source)
            self._layers += [_Resized(halve, _Patches(_neighbours(source, 4, 2)), causal.fresh), causal]
            source = causal.sheet

        self._bottom = _Bottom(network, source)
        self._layers.append(self._bottom)

        for rise, causal in zip(network.rise, causals[len(sizes) :], strict=True):
            beside = _neighbours(skips.pop()[:, :, 1:-1], 2, 2)
            patches = _Patches(_neighbours(source, 3, 1), beside)
            self._layers += [_Resized(rise, patches, causal.fresh), causal]
            source = causal.sheet
        self._maps = heard.new_empty(n_batch, n_frames, N_BANDS, network.config.n_maps)
        patches = _Patches(_neighbours(source, 3, 1), _neighbours(heard, 4, 2))
        self._layers.append(_Resized(network.maps, patches, self._maps))

    def forget(self) -> None:
        self._memory.forget()
        for recurrence in self._bottom.recurrences:
            recurrence.forget()

    def follow(self, before: "_Run") -> None:
        self._memory.follow(before._memory)
        for recurrence, last in zip(self._bottom.recurrences, before._bottom.recurrences, strict=True):
            recurrence.follow(last)

    def __call__(self, features: Tensor) -> Heard:
        """Shape: (B, T, F)."""
        torch.add(features, CENTRE, out=self._features)
        for layer in self._layers:
            layer()
        return Heard(self._maps, self._bottom.deep)


def _neighbours(sheet: Tensor, width: int, stride: int) -> Tensor:
    """Lay each band's neighbours side by side.

    Shape: (B, T, W, C) -> (B, T, (W - width) / stride + 1, width, C), a view.
    """
    n_batch, n_frames, n_bands, n_channels = sheet.shape
    by_batch, by_frame, by_band, _ = sheet.stride()
    shape = (n_batch, n_frames, (n_bands - width) // stride + 1, width, n_channels)
    strides = (by_batch, by_frame, stride * by_band, by_band, 1)
    return sheet.as_strided(shape, strides, sheet.storage_offset())


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
    half = _Matrix(rise.weight / 2, rise.bias / 2)  # as `_gelu_of_twice` takes it
    return _Folds(gates, _fold_linear(scan.out), half, _fold_linear(feed.fall))


def _fold_conv(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> _Matrix:
    """Fold batch norm into a convolution: y = (x - mean) / sqrt(var + eps) * weight + bias.

    The matrix's rows are (frames, bands, inputs), as patches lie in memory.
    """
    kernel = conv.weight  # (out, in, frames, bands)
    if norm is None:
        bias = _bias(conv).clone()
    else:
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        kernel = kernel * scale[:, None, None, None]
        bias = norm.bias - norm.running_mean * scale
    return _Matrix(kernel.permute(2, 3, 1, 0).reshape(-1, kernel.shape[0]).contiguous(), bias)


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


def _fold_merge(up: Tensor, merge: _Matrix) -> _Matrix:
    """Fold the 1x1 convolution over (risen, skip) into what raises, and what is added from the skip.

    Nothing lies between raising and merging but sums, so the product of both matrices is one matrix.
    """
    outputs = merge.weight.shape[1]
    of_risen, of_skip = merge.weight[:outputs], merge.weight[outputs:]
    raised = up.view(-1, 2, outputs) @ of_risen  # even and odd bands alike
    return _beside(raised.flatten(1), _Matrix(of_skip, merge.bias), len(of_skip))


def _beside(risen: Tensor, skip: _Matrix, shift: int) -> _Matrix:
    """Write what raises and what is added from the skip as one product, for two output bands at once.

    Each output band takes its rows of the skip; the odd one's lie `shift` rows after the even one's.

    Shape: risen (inputs, 2 * out), skip (rows, out) -> (inputs + rows + shift, 2 * out).
    """
    even, odd = functional.pad(skip.weight, (0, 0, 0, shift)), functional.pad(skip.weight, (0, 0, shift, 0))
    return _Matrix(torch.cat([risen, torch.cat([even, odd], 1)]).contiguous(), skip.bias.repeat(2))
