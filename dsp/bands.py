"""Warped bands: 256 instead of 2049 bins, fine where pitch is, about 36 to the octave above.

The lowest 53 bins of a 4096-point transform at 44.1 kHz (to 570 Hz) stay single, the rest share bands
of geometric width.  A spectrum at another rate is taken with a transform of the same duration
(`soundlasso.dsp.stft.host_hop`), so its bin k lies at the same frequency; bins that a low rate lacks
are silent, bins above 22 kHz follow the highest band.
"""

import functools

import numpy as np
import numpy.typing as npt
import torch

N_FFT = 4096
N_BINS = N_FFT // 2 + 1
N_BANDS = 256
N_SINGLE = 53
MAGNITUDE_FLOOR = 1e-4


@functools.cache
def band_edges() -> npt.NDArray[np.intp]:
    """Return the first bin of each band, and the end.

    Shape: (257,), integers, strictly rising from 0 to 2049.
    """
    wide = N_BANDS - N_SINGLE
    ratio = (N_BINS / N_SINGLE) ** (1 / wide)
    places = np.concatenate([np.arange(N_SINGLE), N_SINGLE * ratio ** np.arange(wide + 1)])
    edges: npt.NDArray[np.intp] = np.round(places).astype(np.intp)
    for i in range(1, len(edges)):  # at least one bin each
        edges[i] = max(edges[i], edges[i - 1] + 1)
    edges = np.minimum(edges, N_BINS - (N_BANDS - np.arange(N_BANDS + 1)))
    edges[-1] = N_BINS
    return edges


class BandMap:
    """Bins to bands, and band gains back to bins, for spectra of `n_bins` bins.

    `power_to_bands` sums power; `gains_to_bins` interpolates between band centres.
    """

    def __init__(self, n_bins: int, device: torch.device | str = "cpu") -> None:
        self.n_bins = n_bins
        edges = band_edges()
        self._heard = min(n_bins, N_BINS)
        widths = np.diff(np.minimum(edges, self._heard))
        self._widths = torch.from_numpy(widths).to(device)

        centres = (edges[:-1] + edges[1:] - 1) / 2
        bins = np.arange(n_bins)
        below = np.clip(np.searchsorted(centres, bins, side="right") - 1, 0, N_BANDS - 2)
        share = np.clip((bins - centres[below]) / (centres[below + 1] - centres[below]), 0, 1)
        self._below = torch.from_numpy(below).to(device)
        self._above = self._below + 1
        self._share = torch.from_numpy(share.astype(np.float32)).to(device)

    def power_to_bands(self, power: torch.Tensor) -> torch.Tensor:
        """Sum the power of each band's bins.

        Shape: (..., n_bins) -> (..., 256).
        """
        rows = power[..., : self._heard].reshape(-1, self._heard)
        sums = sum_by_scatter if rows.device.type == "mps" else sum_segments
        return sums(rows, self._widths).view(*power.shape[:-1], N_BANDS)

    def gains_to_bins(self, gains: torch.Tensor) -> torch.Tensor:
        """Interpolate a gain per band to a gain per bin.

        Shape: (..., 256) -> (..., n_bins).
        """
        shape = (*gains.shape[:-1], self.n_bins)  # gather takes a quarter of index_select's time
        low, high = (gains.gather(-1, place.expand(shape)) for place in (self._below, self._above))
        return torch.lerp(low, high, self._share)


def sum_segments(rows: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    """Sum neighbours, `widths` of them at a time.  Shape: (n, bins), (bands,) -> (n, bands)."""
    every = widths.expand(len(rows), -1).contiguous()
    sums: torch.Tensor = torch.segment_reduce(rows, "sum", lengths=every, axis=1, unsafe=True)
    return sums


def sum_by_scatter(rows: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    """Do the same where torch has no segments, as on Apple's GPUs; slower."""
    places = torch.arange(len(widths), device=rows.device).repeat_interleave(widths)
    return rows.new_zeros(len(rows), len(widths)).index_add_(1, places, rows)


def log_magnitude(band_power: torch.Tensor) -> torch.Tensor:
    """Return what lariat hears: log10 of each band's magnitude, floored at -80 dB of the level of 1.

    Shape: (..., 256) -> (..., 256), from -4 up.
    """
    return torch.log10(torch.sqrt(band_power + 1e-12) + MAGNITUDE_FLOOR)
