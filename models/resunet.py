"""ResUNet30: AudioSep's separation network, with the published names and numbers.

It looks at the magnitudes of a mixture's spectrum and at a query's vector, and gives
one complex gain per frame and bin: a *magnitude mask* m and a *phase residual* r,

    stem = inverse STFT(spectrum * gain),   gain = sigmoid(m) * r / |r|.

A U-Net of six levels halves frames and bins on the way down. The query enters everywhere
as FiLM without a scale: one shift per channel after each batch norm.

Liu et al., "Separate Anything You Describe", 2023 (arXiv 2308.05037); the U-Net is from
Kong et al., "Decoupling Magnitude and Phase Estimation with Deep ResUNet", ISMIR 2021.

Shapes: B batch, T frames, 1025 bins; maps are (B, channels, frames, bins).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

SAMPLE_RATE = 32_000
N_FFT = 2048
HOP_LENGTH = 320
BINS = N_FFT // 2 + 1
WIDTHS = (32, 64, 128, 256, 384, 384)  # channels of the encoder's levels
CONDITION_SIZE = 512  # of a CLAP text vector
FRAME_STRIDE = 32  # frames are halved five times
LEAST_SAMPLES = N_FFT // 2 + 1  # what reflection at the edges needs
_QUIETEST_POWER = 1e-10  # keeps the square root's argument, and a bin's direction, finite

Shifts = Mapping[str, Tensor]  # name of a FiLM layer -> (B, channels, 1, 1)


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, each after norm, FiLM shift and leaky ReLU, around a shortcut."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in, momentum=0.01)
        self.bn2 = nn.BatchNorm2d(width_out, momentum=0.01)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(width_in, width_out, 1) if width_in != width_out else nn.Identity()

    def forward(self, x: Tensor, shifts: Shifts, name: str) -> Tensor:
        """Return maps of `width_out` channels."""
        y = self.conv1(leaky_relu(self.bn1(x) + shifts[f"{name}->beta1"]))
        y = self.conv2(leaky_relu(self.bn2(y) + shifts[f"{name}->beta2"]))
        maps: Tensor = self.shortcut(x) + y
        return maps


class Encoder(nn.Module):
    """A block on the way down; the caller pools its maps and keeps them for the way up."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.conv_block1 = ConvBlock(width_in, width_out)

    def forward(self, x: Tensor, shifts: Shifts, name: str) -> Tensor:
        """Return the level's maps at full resolution."""
        maps: Tensor = self.conv_block1(x, shifts, f"{name}->conv_block1")
        return maps


class Decoder(nn.Module):
    """A block on the way up: enlarge, put beside the encoder's maps of the same level, convolve."""

    def __init__(self, width_in: int, width_out: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(width_in, width_out, stride, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width_in, momentum=0.01)
        self.bn2 = nn.BatchNorm2d(width_in, momentum=0.01)  # published, never used
        self.conv_block2 = ConvBlock(2 * width_out, width_out)

    def forward(self, x: Tensor, skip: Tensor, shifts: Shifts, name: str) -> Tensor:
        """Return the level's maps at the resolution of `skip`."""
        x = self.conv1(leaky_relu(self.bn1(x) + shifts[f"{name}->beta1"]))
        maps: Tensor = self.conv_block2(torch.cat((x, skip), 1), shifts, f"{name}->conv_block2")
        return maps


class UNet(nn.Module):
    """Magnitudes in, three maps out: the mask's logit, the phase residual's real and imaginary part."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(BINS, momentum=0.01)  # each bin has its own level
        self.pre_conv = nn.Conv2d(1, widths[0], 1)
        self.strides = [(2, 2)] * (len(widths) - 1) + [(1, 2)]
        for level, (below, width) in enumerate(zip((widths[0], *widths), widths, strict=False), 1):
            self.add_module(f"encoder_block{level}", Encoder(below, width))
        self.conv_block7a = Encoder(widths[-1], widths[-1])
        upwards = [widths[-1], *reversed(widths)]
        for level, stride in enumerate(reversed(self.strides), 1):
            self.add_module(f"decoder_block{level}", Decoder(upwards[level - 1], upwards[level], stride))
        self.after_conv = nn.Conv2d(widths[0], 3, 1)

    def forward(self, magnitudes: Tensor, shifts: Shifts) -> Tensor:
        """Return the maps of `magnitudes`, (B, T, 1025) -> (B, 3, T, 1024): the Nyquist bin gets none."""
        frames = magnitudes.shape[1]
        x = self.bn0(magnitudes.mT[..., None])[..., 0].mT[:, None]  # (B, 1, T, 1025)
        x = self.pre_conv(pad(x[..., :-1], (0, 0, 0, -frames % FRAME_STRIDE)))
        skips = []
        for level, stride in enumerate(self.strides, 1):
            name = f"encoder_block{level}"
            skips.append(self.get_submodule(name)(x, shifts, name))
            x = nn.functional.avg_pool2d(skips[-1], stride)
        x = self.conv_block7a(x, shifts, "conv_block7a")
        for level, skip in enumerate(reversed(skips), 1):
            name = f"decoder_block{level}"
            x = self.get_submodule(name)(x, skip, shifts, name)
        maps: Tensor = self.after_conv(x)
        return maps[:, :, :frames]


class ResUNet30(nn.Module):
    """The whole network: STFT, FiLM, U-Net, gain, inverse STFT.

    Parameters
    ----------
    widths
        Channels of the six levels; the default is the published network.
    condition_size
        Length of a query's vector.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, condition_size: int = CONDITION_SIZE) -> None:
        super().__init__()
        self.base = UNet(widths)
        self.film = nn.ModuleDict(
            {name: nn.Linear(condition_size, channels) for name, channels in _shifted(self.base).items()}
        )

    def shifts(self, conditions: Tensor) -> dict[str, Tensor]:
        """Return each FiLM layer's shifts for the query vectors `conditions`, shape (B, condition_size)."""
        return {name: layer(conditions)[..., None, None] for name, layer in self.film.items()}

    def forward(self, mixture: Tensor, conditions: Tensor) -> Tensor:
        """Return the stem of each mixture, shapes (B, samples), (B, condition_size) -> (B, samples).

        Any length from 0 on is right; the sample rate is 32 kHz.
        """
        samples = mixture.shape[-1]
        spectrum = stft(pad(mixture, (0, max(0, LEAST_SAMPLES - samples))))
        maps = self.base(magnitudes(spectrum), self.shifts(conditions))
        return istft(spectrum * gain(maps), max(samples, LEAST_SAMPLES))[..., :samples]


def stft(signal: Tensor) -> Tensor:
    """Return the spectrum of `signal`, frames centred, edges reflected, (B, samples) -> (B, T, 1025)."""
    window = torch.hann_window(N_FFT, device=signal.device)
    return torch.stft(signal, N_FFT, HOP_LENGTH, window=window, pad_mode="reflect", return_complex=True).mT


def istft(spectrum: Tensor, samples: int) -> Tensor:
    """Return the signal of `spectrum`, the reverse of `stft`, (B, T, 1025) -> (B, samples)."""
    window = torch.hann_window(N_FFT, device=spectrum.device)
    return torch.istft(spectrum.mT, N_FFT, HOP_LENGTH, window=window, length=samples)


def magnitudes(spectrum: Tensor) -> Tensor:
    """Return what the network sees of a spectrum, of the same shape, real."""
    return (spectrum.real**2 + spectrum.imag**2).clamp(min=_QUIETEST_POWER).sqrt()


def gain(maps: Tensor) -> Tensor:
    """Return the complex gain of three maps, (B, 3, T, 1024) -> (B, T, 1025); 0 in the Nyquist bin."""
    mask = maps[:, 0].sigmoid()
    turn = torch.complex(maps[:, 1].tanh(), maps[:, 2].tanh())
    return pad(mask * turn / turn.abs().clamp(min=_QUIETEST_POWER), (0, 1))


def _shifted(base: UNet) -> dict[str, int]:
    """Return the name of each FiLM layer and its channels: one for every batch norm but the first."""
    return {
        name.replace(".bn", ".beta").replace(".", "->"): module.num_features
        for name, module in base.named_modules()
        if isinstance(module, nn.BatchNorm2d) and name != "bn0"
    }
