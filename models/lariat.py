"""lariat: the embedded network.  It hears the mixture once; a query mixes what it heard into a gain.

A causal U-Net over (frames, bands) with gated linear recurrences at the bottom yields D maps per
band.  A query enters at the very end: gain = sigmoid(maps . weights(query) + prior(query)), so many
queries cost one pass and as many small products, and a query that changes in flight costs nothing.
(Maps mixed by a query: Sound of Pixels, ICCV 2018.  A query as late as this: Banquet, ISMIR 2024.)

Top to bottom: the configuration, the layers, and `Lariat` as it is trained, whole examples at once.
`soundlasso.models.lariat_folded` is the same network for inference, frame by frame.

Shapes: B batch, T frames, F = 256 bands, Q queries, D maps, d width of the bottom.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundlasso.dsp.bands import N_BANDS
from soundlasso.dsp.errors import ModelError

TEXT_SIZE = 384
CENTRE = 1.5  # log10 magnitudes lie around -1.5
PAST_FRAMES = 2  # frames before the present one that a 3x3 convolution sees


@dataclasses.dataclass(frozen=True)
class LariatConfig:
    """What shapes the network; it is stored beside the weights."""

    channels: tuple[int, ...] = (32, 48, 64, 96)
    n_maps: int = 48
    bottom: int = 192
    n_scans: int = 5
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
        self.conv = nn.Conv2d(channels, channels, 3, padding=(0, 1), bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, channels, T, W) -> the same."""
        heard = functional.pad(x, (0, 0, PAST_FRAMES, 0))  # cutting after the convolution is twice as slow
        return x + functional.relu(self.norm(self.conv(heard)))


class ConvNorm(nn.Module):
    """A convolution without bias, batch norm, ReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, in, T, W) -> (B, out, T, W')."""
        return functional.relu(self.norm(self.conv(x)))


def halve(inputs: int, outputs: int) -> ConvNorm:
    """Return a layer that leaves half as many bands."""
    return ConvNorm(nn.Conv2d(inputs, outputs, (1, 4), stride=(1, 2), padding=(0, 1), bias=False))


def _double(inputs: int, outputs: int, bias: bool = False) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, (1, 4), stride=(1, 2), padding=(0, 1), bias=bias)


def mix(maps: Tensor, weights: Tensor) -> Tensor:
    """Weigh the maps for each query.  Shape: (B, T, F, D), (B, Q, D) -> (B, Q, T, F).

    The maps stay channels last in the gradient as well; with `einsum` a step takes a fifth longer.
    """
    mixed = maps.flatten(1, 2) @ weights.mT  # (B, T F, Q)
    return mixed.mT.reshape(*weights.shape[:2], *maps.shape[1:3])


def query_mlp(hidden: int, outputs: int) -> nn.Sequential:
    """Return two layers that turn a query's vector into `outputs` numbers."""
    return nn.Sequential(nn.Linear(TEXT_SIZE, hidden), nn.SiLU(), nn.Linear(hidden, outputs))


# ---------------------------------------------------------------- as it is trained


class Lariat(nn.Module):
    """The network in training form: whole examples at once, batch norm in place."""

    def __init__(self, config: LariatConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        inputs = (2, *channels[:-1])
        self.down = nn.ModuleList(halve(i, c) for i, c in zip(inputs, channels, strict=True))
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
        self.query_weights = query_mlp(config.query_hidden, config.n_maps)
        self.query_prior = query_mlp(config.query_hidden, N_BANDS)
        if config.presence:
            self.query_presence = query_mlp(config.query_hidden, config.bottom + 1)
        self.register_buffer("position", torch.linspace(-1, 1, N_BANDS), persistent=False)

    def forward(self, features: Tensor, queries: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the logits of the gains, and those of presence if it was asked for.

        Shape: features (B, T, F), queries (B, Q, 384) -> (B, Q, T, F), (B, Q, T).
        """
        maps, bottom = self.listen(features)
        mixed = mix(maps, self.query_weights(queries))
        return mixed + self.query_prior(queries)[:, :, None], self.presence(bottom, queries)

    def listen(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Hear the mixture.  Shape: (B, T, F) -> maps (B, T, F, D), bottom (B, T, d)."""
        falling = self.fall(features)
        deep = self.recur(falling[-1])
        return self.rise(falling, deep), deep.transpose(0, 1)

    def fall(self, features: Tensor) -> list[Tensor]:
        """Return what each level hears, the mixture itself first.  Shape: (B, channels, T, W) each."""
        levels = [self.planes(features).contiguous(memory_format=torch.channels_last)]
        for down, encode in zip(self.down, self.encode, strict=True):
            levels.append(encode(down(levels[-1])))
        return levels

    def planes(self, features: Tensor) -> Tensor:
        """Lay each band's place beside what is heard.  Shape: (B, T, F) -> (B, 2, T, F)."""
        n_batch, n_frames, n_bands = features.shape
        place = self.get_buffer("position").expand(n_batch, 1, n_frames, n_bands)
        return torch.cat([(features + CENTRE)[:, None], place], 1)

    def recur(self, lowest: Tensor) -> Tensor:
        """Remember at the bottom.  Shape: (B, channels, T, W) -> (T, B, d)."""
        deep: Tensor = self.squeeze(lowest.permute(2, 0, 3, 1).flatten(2))
        for scan, feed in zip(self.scans, self.feeds, strict=True):
            deep = feed(scan(deep))
        return deep

    def rise(self, falling: list[Tensor], deep: Tensor) -> Tensor:
        """Return the maps, from what each level heard and what was remembered.  Shape: (B, T, F, D)."""
        heard, *skips, x = falling
        x = x + self.expand(deep).unflatten(-1, (-1, x.shape[1])).permute(1, 3, 0, 2)
        for up, merge, decode in zip(self.up, self.merge, self.decode, strict=True):
            x = decode(merge(torch.cat([up(x), skips.pop()], 1)))
        return self.map(x, heard).permute(0, 2, 3, 1)

    def map(self, x: Tensor, heard: Tensor) -> Tensor:
        """Return the maps, channels first.  Shape: (B, channels, T, F/2), (B, 2, T, F) -> (B, D, T, F).

        Both biases go through the plain convolution: the transposed one's gradient takes ten times as long.
        """
        biases = self.maps_up.get_parameter("bias") + self.maps_skip.get_parameter("bias")
        risen = functional.conv_transpose2d(x, self.maps_up.weight, stride=(1, 2), padding=(0, 1))
        return functional.relu(
            risen + functional.conv2d(heard, self.maps_skip.weight, biases, padding=(0, 1))
        )

    def presence(self, bottom: Tensor, queries: Tensor) -> Tensor | None:
        """Return the logits of presence, if the network tells it.

        Shape: bottom (B, T, d), queries (B, Q, 384) -> (B, Q, T).
        """
        if not self.config.presence:
            return None
        key = self.query_presence(queries)  # (B, Q, d + 1)
        logits: Tensor = torch.einsum("btd,bqd->bqt", bottom, key[..., :-1]) + key[..., -1:]
        return logits


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
