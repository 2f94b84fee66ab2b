"""lariat: the embedded network.  It hears the mixture once; a query mixes what it heard into a gain.

A causal U-Net over (frames, bands) with gated linear recurrences at the bottom yields D maps per
band.  A query enters at the very end: gain = sigmoid(maps . weights(query) + prior(query)), so many
queries cost one pass and as many small products, and a query that changes in flight costs nothing.
(Maps mixed by a query: Sound of Pixels, ICCV 2018.  A query as late as this: Banquet, ISMIR 2024.)

Top to bottom: the configuration, the layers, `Lariat` as it is trained, and `LariatStep`, the same
network folded for inference: batch norm goes into the convolutions, every convolution becomes one
matrix product on neighbouring bands, and a step takes the state of the last one.

Shapes: B batch, T frames, F = 256 bands, Q queries, D maps, d width of the bottom.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundlasso.dsp.bands import N_BANDS
from soundlasso.dsp.errors import ModelError

TEXT_SIZE = 384
_CENTRE = 1.5  # log10 magnitudes lie around -1.5
_PAST = 2  # frames before the present one that a 3x3 convolution sees


@dataclasses.dataclass(frozen=True)
class LariatConfig:
    """What shapes the network; it is stored beside the weights."""

    channels: tuple[int, ...] = (16, 32, 48, 64)
    n_maps: int = 24
    bottom: int = 128
    n_scans: int = 3
    query_hidden: int = 256
    presence: bool = False

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Read the configuration off the shapes of a network's tensors; the reverse of building it.

        Raises
        ------
        ModelError
            If the tensors are not lariat's.
        """
        count = sum(bool(re.fullmatch(r"down\.\d+\.conv\.weight", name)) for name in tensors)
        try:
            return cls(
                channels=tuple(len(tensors[f"down.{i}.conv.weight"]) for i in range(count)),
                n_maps=len(tensors["maps_up.bias"]),
                bottom=len(tensors["squeeze.bias"]),
                n_scans=sum(name.endswith("gates.bias") for name in tensors),
                query_hidden=len(tensors["query_weights.0.bias"]),
                presence="query_presence.0.bias" in tensors,
            )
        except KeyError as missing:
            raise ModelError(f"these are not lariat's weights: the tensor {missing} is not there") from None

    @property
    def narrow(self) -> int:
        """Bands at the bottom: each level halves them."""
        return N_BANDS >> len(self.channels)


# ---------------------------------------------------------------- layers


class _ScanFunction(torch.autograd.Function):
    """h[t] = a[t] * h[t-1] + b[t] over the first axis, and its gradient."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
        h = torch.empty_like(b)
        last = h0
        for t in range(len(b)):
            torch.addcmul(b[t], a[t], last, out=h[t])
            last = h[t]
        ctx.save_for_backward(a, h, h0)
        return h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (grad,) = grads
        a, h, h0 = ctx.saved_tensors
        grad_b = torch.empty_like(grad)
        carried = torch.zeros_like(h0)
        for t in range(len(a) - 1, -1, -1):
            torch.add(grad[t], carried, out=grad_b[t])
            torch.mul(grad_b[t], a[t], out=carried)
        grad_a = torch.cat([grad_b[:1] * h0, grad_b[1:] * h[:-1]])
        return grad_a, grad_b, None


class Scan(nn.Module):
    """Gated linear recurrence over frames; its gates do not see h, so training is one scan."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gates = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        with torch.no_grad():  # a spread of time constants, from one frame to two seconds
            self.gates.bias[:width] = torch.linspace(-1, 4, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (T, B, d) -> (T, B, d)."""
        forget, value, gate = self.gates(self.norm(x)).chunk(3, -1)
        keep = torch.sigmoid(forget)
        states: Tensor = _ScanFunction.apply(keep, (1 - keep) * value, torch.zeros_like(x[0]))  # type: ignore[no-untyped-call]
        rest: Tensor = self.out(states * functional.silu(gate))
        return x + rest


class FeedForward(nn.Module):
    """Two linear layers over the width, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.rise = nn.Linear(width, 2 * width)
        self.fall = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (T, B, d) -> (T, B, d)."""
        rest: Tensor = self.fall(functional.gelu(self.rise(self.norm(x))))
        return x + rest


class CausalConv(nn.Module):
    """3x3 over (frames, bands), two frames of past and none of the future, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=(_PAST, 1), bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, channels, T, W) -> the same."""
        return x + functional.relu(self.norm(self.conv(x)[:, :, : x.shape[2]]))


class ConvNorm(nn.Module):
    """A convolution without bias, batch norm, ReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, in, T, W) -> (B, out, T, W')."""
        return functional.relu(self.norm(self.conv(x)))


def _halve(inputs: int, outputs: int) -> ConvNorm:
    return ConvNorm(nn.Conv2d(inputs, outputs, (1, 4), stride=(1, 2), padding=(0, 1), bias=False))


def _double(inputs: int, outputs: int, bias: bool = False) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, (1, 4), stride=(1, 2), padding=(0, 1), bias=bias)


def _query_mlp(hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(TEXT_SIZE, hidden), nn.SiLU(), nn.Linear(hidden, outputs))


# ---------------------------------------------------------------- as it is trained


class Lariat(nn.Module):
    """The network in training form: whole examples at once, batch norm in place."""

    def __init__(self, config: LariatConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        inputs = (2, *channels[:-1])
        self.down = nn.ModuleList(_halve(i, c) for i, c in zip(inputs, channels, strict=True))
        self.encode = nn.ModuleList(CausalConv(c) for c in channels)
        self.squeeze = nn.Linear(channels[-1] * config.narrow, config.bottom)
        self.scans = nn.ModuleList(Scan(config.bottom) for _ in range(config.n_scans))
        self.feeds = nn.ModuleList(FeedForward(config.bottom) for _ in range(config.n_scans))
        self.expand = nn.Linear(config.bottom, channels[-1] * config.narrow)
        rising = list(zip(channels[:0:-1], channels[-2::-1], strict=True))  # (64, 48), (48, 32), ...
        self.up = nn.ModuleList(_double(i, c) for i, c in rising)
        self.merge = nn.ModuleList(ConvNorm(nn.Conv2d(2 * c, c, 1, bias=False)) for _, c in rising)
        self.decode = nn.ModuleList(CausalConv(c) for _, c in rising)
        self.maps_up = _double(channels[0], config.n_maps, bias=True)
        self.maps_skip = nn.Conv2d(2, config.n_maps, (1, 3), padding=(0, 1))
        self.query_weights = _query_mlp(config.query_hidden, config.n_maps)
        self.query_prior = _query_mlp(config.query_hidden, N_BANDS)
        if config.presence:
            self.query_presence = _query_mlp(config.query_hidden, config.bottom + 1)
        self.register_buffer("position", torch.linspace(-1, 1, N_BANDS), persistent=False)

    def forward(self, features: Tensor, queries: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the logits of the gains, and those of presence if it was asked for.

        Shape: features (B, T, F), queries (B, Q, 384) -> (B, Q, T, F), (B, Q, T).
        """
        maps, bottom = self.listen(features)
        weights = self.query_weights(queries)  # (B, Q, D)
        mixed = torch.einsum("btfd,bqd->bqtf", maps, weights)
        logits = mixed + self.query_prior(queries)[:, :, None]
        if not self.config.presence:
            return logits, None
        key = self.query_presence(queries)  # (B, Q, d + 1)
        return logits, torch.einsum("btd,bqd->bqt", bottom, key[..., :-1]) + key[..., -1:]

    def listen(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Hear the mixture.  Shape: (B, T, F) -> maps (B, T, F, D), bottom (B, T, d)."""
        n_batch, n_frames, n_bands = features.shape
        place = self.get_buffer("position").expand(n_batch, 1, n_frames, n_bands)
        heard = torch.cat([(features + _CENTRE)[:, None], place], 1)
        heard = x = heard.contiguous(memory_format=torch.channels_last)
        skips = []
        for down, encode in zip(self.down, self.encode, strict=True):
            x = encode(down(x))
            skips.append(x)
        deep = self._recur(self.squeeze(x.permute(2, 0, 3, 1).flatten(2)))  # (T, B, d)
        x = x + self.expand(deep).unflatten(-1, (-1, x.shape[1])).permute(1, 3, 0, 2)
        skips.pop()
        for up, merge, decode in zip(self.up, self.merge, self.decode, strict=True):
            x = decode(merge(torch.cat([up(x), skips.pop()], 1)))
        maps = functional.relu(self.maps_up(x) + self.maps_skip(heard))
        return maps.permute(0, 2, 3, 1), deep.transpose(0, 1)

    def _recur(self, deep: Tensor) -> Tensor:
        for scan, feed in zip(self.scans, self.feeds, strict=True):
            deep = feed(scan(deep))
        return deep


def build(tensors: Mapping[str, Tensor], device: torch.device | str = "cpu") -> Lariat:
    """Build the network that `tensors` are the weights of, strictly by name.

    Raises
    ------
    ModelError
        If a tensor is missing, unknown or of another shape.
    """
    with torch.device("meta"):
        network = Lariat(LariatConfig.of(tensors))
    network.register_buffer("position", torch.linspace(-1, 1, N_BANDS), persistent=False)
    wanted = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    if wrong := sorted(wanted ^ {name for name in tensors if not name.endswith("num_batches_tracked")}):
        raise ModelError(
            f"these weights do not fit lariat: missing or unknown tensors {', '.join(wrong[:5])}"
        )
    counters = {name: torch.tensor(0) for name in network.state_dict() if name not in wanted}
    try:
        network.load_state_dict({**counters, **tensors}, assign=True)
    except RuntimeError as error:
        raise ModelError(f"these weights do not fit lariat: {error}") from None
    return network.to(device).eval().requires_grad_(False)


# ---------------------------------------------------------------- folded, step by step


class Query(NamedTuple):
    """What the text says, once and for all frames."""

    weights: Tensor  # (Q, D)
    prior: Tensor  # (Q, F)
    presence: Tensor | None  # (Q, d + 1)


class State(NamedTuple):
    """What a step leaves for the next one."""

    past: tuple[Tensor, ...]  # per causal convolution: the two last frames, (B, 2, W, channels)
    scans: tuple[Tensor, ...]  # per recurrence: h, (B, d)


class Heard(NamedTuple):
    """The mixture as the network hears it: all that queries need."""

    maps: Tensor  # (B, T, F, D)
    bottom: Tensor  # (B, T, d)


class _Matrix(NamedTuple):
    weight: Tensor  # (inputs, outputs)
    bias: Tensor  # (outputs,)

    def __call__(self, x: Tensor) -> Tensor:
        *batch, inputs = x.shape
        rows = torch.addmm(self.bias, x.reshape(-1, inputs), self.weight)
        return rows.view(*batch, rows.shape[1])


class _Added(NamedTuple):
    weight: Tensor  # (inputs, outputs)

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """Return y += x @ weight."""
        y.view(-1, y.shape[-1]).addmm_(x.reshape(-1, x.shape[-1]), self.weight)
        return y


class _Recurrence:
    """One scan and its feed-forward as five matrix products; layer norms' gains are folded in."""

    def __init__(self, scan: Scan, feed: FeedForward) -> None:
        self._gates = _fold_norm(scan.gates, scan.norm)
        self._out = _fold_linear(scan.out)
        self._rise = _fold_norm(feed.rise, feed.norm)
        self._fall = _fold_linear(feed.fall)

    def __call__(self, x: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the output and the last h.  Shape: x (T, B, d), h (B, d)."""
        width = x.shape[-1:]
        forget, value, gate = self._gates(torch.layer_norm(x, width)).chunk(3, -1)
        keep = forget.sigmoid()
        if h is None:
            h = torch.zeros_like(x[0])
        states = []
        for value_now, keep_now in zip(value.unbind(), keep.unbind(), strict=True):
            h = torch.lerp(value_now, h, keep_now)  # keep * h + (1 - keep) * value
            states.append(h)
        x = x + self._out(torch.stack(states) * functional.silu(gate))
        risen = self._rise(torch.layer_norm(x, width))
        return x + self._fall(functional.gelu(risen)), h


class LariatStep:
    """The network for inference: any number of frames at a time gives what the whole gives.

    Inside, a frame is (bands, channels): a band's neighbours lie side by side in memory, so a
    convolution is one matrix product on a strided view, which for a single frame takes half the
    time of a convolution call.
    """

    def __init__(self, network: Lariat) -> None:
        network = network.eval()
        self.config = network.config
        self._position = network.get_buffer("position")
        self.device = self._position.device
        self._down = [_fold_conv(m.conv, m.norm) for m in network.down]  # type: ignore[arg-type]
        self._encode = [_fold_conv(m.conv, m.norm) for m in network.encode]  # type: ignore[arg-type]
        self._rise = [
            _fold_merge(_fold_double(up), _fold_conv(merge.conv, merge.norm))  # type: ignore[arg-type]
            for up, merge in zip(network.up, network.merge, strict=True)
        ]
        self._decode = [_fold_conv(m.conv, m.norm) for m in network.decode]  # type: ignore[arg-type]
        recurrences = zip(network.scans, network.feeds, strict=True)
        self._recurrences = [_Recurrence(scan, feed) for scan, feed in recurrences]  # type: ignore[arg-type]
        self._squeeze = _fold_linear(network.squeeze)
        self._expand = _fold_linear(network.expand)
        maps_up, maps_skip = _fold_double(network.maps_up), _fold_conv(network.maps_skip, None)
        self._maps_up = _Matrix(maps_up.weight, maps_up.bias + maps_skip.bias.repeat(2))
        self._maps_skip = _Added(maps_skip.weight)
        self._network = network

    @torch.inference_mode()
    def ask(self, queries: Tensor) -> Query:
        """Turn text vectors into what mixes the maps.  Shape: (Q, 384)."""
        network = self._network
        presence = network.query_presence(queries) if self.config.presence else None
        return Query(network.query_weights(queries), network.query_prior(queries), presence)

    def gain(self, heard: Heard, query: Query) -> Tensor:
        """Return each query's gain per band.  Shape: (Q, B, T, F), 0 to 1."""
        n_batch, n_frames, n_bands, n_maps = heard.maps.shape
        mixed = query.weights @ heard.maps.reshape(-1, n_maps).T
        mixed = mixed.view(-1, n_batch, n_frames, n_bands)
        return mixed.add_(query.prior[:, None, None]).sigmoid_()

    def presence(self, heard: Heard, query: Query) -> Tensor | None:
        """Return how surely each sound is there, if it was learned.  Shape: (Q, B, T), 0 to 1."""
        if query.presence is None:
            return None
        key, bias = query.presence[:, :-1], query.presence[:, -1]
        return torch.sigmoid(torch.einsum("btd,qd->qbt", heard.bottom, key) + bias[:, None, None])

    def step(self, features: Tensor, state: State | None) -> tuple[Heard, State]:
        """Hear the next frames; None starts.  Shape: (B, T, F)."""
        past = list(state.past) if state else [None] * (len(self._encode) + len(self._decode))
        fresh: list[Tensor] = []

        def causal(x: Tensor, matrix: _Matrix) -> Tensor:
            y, kept = _causal(x, past[len(fresh)], matrix)
            fresh.append(kept)
            return y

        heard = x = torch.stack([features + _CENTRE, self._position.expand_as(features)], -1)
        skips = []
        for down, encode in zip(self._down, self._encode, strict=True):
            x = causal(down(_neighbours(x, 4, 2)).relu_(), encode)
            skips.append(x)
        deep, scans = self._squeeze(x.flatten(2).transpose(0, 1)), []
        for i, recurrence in enumerate(self._recurrences):
            deep, h = recurrence(deep, state.scans[i] if state else None)
            scans.append(h)
        deep = deep.transpose(0, 1)
        x = x + self._expand(deep).view_as(x)
        skips.pop()
        for (rise, across), decode in zip(self._rise, self._decode, strict=True):
            risen = _interleave(rise(_neighbours(x, 3, 1)))
            x = causal(across.add_to(risen, skips.pop()).relu_(), decode)
        maps = _interleave(self._maps_up(_neighbours(x, 3, 1)))
        maps = self._maps_skip.add_to(maps, _neighbours(heard, 3, 1)).relu_()
        return Heard(maps, deep), State(tuple(fresh), tuple(scans))


def _neighbours(x: Tensor, width: int, stride: int) -> Tensor:
    """Lay each band's neighbours side by side, silence beyond the edges.

    Shape: (B, T, W, C) -> (B, T, W / stride, width * C), a view of the padded input.
    """
    n_batch, n_frames, n_bands, n_channels = x.shape
    padded = torch.constant_pad_nd(x, (0, 0, 1, 1))
    by_batch, by_frame, by_band, _ = padded.stride()
    shape = (n_batch, n_frames, (n_bands + 2 - width) // stride + 1, width * n_channels)
    return padded.as_strided(shape, (by_batch, by_frame, stride * by_band, 1))


def _causal(x: Tensor, past: Tensor | None, matrix: _Matrix) -> tuple[Tensor, Tensor]:
    """Convolve 3x3 with the frames before; return the sum with x, and the frames to keep."""
    n_batch, n_frames, n_bands, n_channels = x.shape
    if past is None:
        past = x.new_zeros(n_batch, _PAST, n_bands, n_channels)
    joined = torch.cat([past, x], 1)
    padded = torch.constant_pad_nd(joined, (0, 0, 1, 1))
    by_batch, by_frame, by_band, _ = padded.stride()
    shape = (n_batch, n_frames, n_bands, _PAST + 1, 3 * n_channels)
    patches = padded.as_strided(shape, (by_batch, by_frame, by_band, by_frame, 1))
    return matrix(patches.flatten(3)).relu_().add_(x), joined[:, n_frames:]


def _interleave(x: Tensor) -> Tensor:
    """Shape: (B, T, W, 2 C), even and odd band -> (B, T, 2 W, C)."""
    n_batch, n_frames, n_bands, n_channels = x.shape
    return x.view(n_batch, n_frames, 2 * n_bands, n_channels // 2)


@torch.no_grad()
def _fold_linear(linear: nn.Linear) -> _Matrix:
    return _Matrix(linear.weight.T.contiguous(), linear.bias.clone())


@torch.no_grad()
def _fold_norm(linear: nn.Linear, norm: nn.LayerNorm) -> _Matrix:
    """Fold a layer norm's gain and bias into the linear layer that follows it."""
    rows = (linear.weight * norm.weight).T.contiguous()
    return _Matrix(rows, linear.bias + linear.weight @ norm.bias)


@torch.no_grad()
def _fold_conv(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> _Matrix:
    """Fold batch norm into a convolution: y = (x - mean) / sqrt(var + eps) * weight + bias."""
    kernel = conv.weight  # (out, in, frames, bands)
    if norm is None:
        assert conv.bias is not None
        bias = conv.bias
    else:
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        kernel = kernel * scale[:, None, None, None]
        bias = norm.bias - norm.running_mean * scale
    rows = kernel.permute(2, 3, 1, 0).reshape(-1, kernel.shape[0])
    return _Matrix(rows.contiguous(), bias.clone())


@torch.no_grad()
def _fold_double(conv: nn.ConvTranspose2d) -> _Matrix:
    """Write a transposed convolution (kernel 4, stride 2, padding 1) as a product on three bands.

    Output band 2 i takes input i by tap 1 and i - 1 by tap 3; band 2 i + 1 takes i by tap 2 and
    i + 1 by tap 0.
    """
    kernel = conv.weight[:, :, 0]  # (in, out, 4)
    none = torch.zeros_like(kernel[..., 0])
    even = torch.stack([kernel[..., 3], kernel[..., 1], none])  # (3, in, out)
    odd = torch.stack([none, kernel[..., 2], kernel[..., 0]])
    rows = torch.cat([even, odd], -1).flatten(0, 1)
    bias = conv.bias if conv.bias is not None else conv.weight.new_zeros(conv.out_channels)
    return _Matrix(rows.contiguous(), bias.repeat(2))


@torch.no_grad()
def _fold_merge(up: _Matrix, merge: _Matrix) -> tuple[_Matrix, _Added]:
    """Fold the 1x1 convolution over (risen, skip) into what raises, and what is added from the skip.

    Nothing lies between raising and merging but sums, so the product of both matrices is one matrix.
    """
    outputs = merge.weight.shape[1]
    of_risen, of_skip = merge.weight[:outputs], merge.weight[outputs:]
    raised = up.weight.view(-1, 2, outputs) @ of_risen  # even and odd bands alike
    return _Matrix(raised.flatten(1).contiguous(), merge.bias.repeat(2)), _Added(of_skip.contiguous())
