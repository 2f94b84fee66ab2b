"""Networks that differ from lariat in one thing each, for trials."""

import torch
from torch import Tensor, nn

from soundlasso.dsp.bands import N_BANDS
from soundlasso.models.lariat import Lariat, LariatConfig, halve, mix, query_mlp

LOOKAHEAD_FRAMES = 2
AHEAD = 2.0
"""Logit of the real part of a direction before anything is learned."""
TINY = 1e-6
"""Keeps the length of a direction off 0."""


class HalfRate(Lariat):
    """Hears and answers half as many frames a second: pairs are heard as one, answers are given twice."""

    def forward(self, features: Tensor, queries: Tensor) -> tuple[Tensor, Tensor | None]:
        """Shape: as `Lariat`; an even number of frames."""
        power = torch.pow(10, 2 * features)
        power = (power[:, ::2] + power[:, 1::2]) / 2
        logits, presence = super().forward(torch.log10(power) / 2, queries)
        return logits.repeat_interleave(2, 2), None if presence is None else presence.repeat_interleave(2, 2)


class Lookahead(Lariat):
    """Answers for a frame when it has heard two more; the last frames are heard again in their place."""

    def forward(self, features: Tensor, queries: Tensor) -> tuple[Tensor, Tensor | None]:
        """Shape: as `Lariat`."""
        ahead = torch.cat([features, features[:, -1:].expand(-1, LOOKAHEAD_FRAMES, -1)], 1)
        logits, presence = super().forward(ahead, queries)
        return logits[:, :, LOOKAHEAD_FRAMES:], None if presence is None else presence[
            :, :, LOOKAHEAD_FRAMES:
        ]


class Modulated(Lariat):
    """A query also scales and shifts what is remembered at the bottom, so each one rises by itself."""

    def __init__(self, config: LariatConfig) -> None:
        super().__init__(config)
        self.query_bottom = query_mlp(config.query_hidden, 2 * config.bottom)

    def forward(self, features: Tensor, queries: Tensor) -> tuple[Tensor, Tensor | None]:
        """Shape: as `Lariat`."""
        n_queries = queries.shape[1]
        falling = self.fall(features)
        deep = self.recur(falling[-1])  # (T, B, d)
        scale, shift = self.query_bottom(queries).chunk(2, -1)  # (B, Q, d)
        asked = (deep[:, :, None] * (1 + scale) + shift).flatten(1, 2)
        maps = self.rise([level.repeat_interleave(n_queries, 0) for level in falling], asked)
        mixed = mix(maps, self.query_weights(queries).flatten(0, 1)[:, None])[:, 0]
        logits = mixed.view(-1, n_queries, *mixed.shape[1:]) + self.query_prior(queries)[:, :, None]
        return logits, self.presence(deep.transpose(0, 1), queries)


class OfMagnitudes(Lariat):
    """Hears no phases, though it is given them, and answers with gains only."""

    def planes(self, features: Tensor) -> Tensor:
        """Take the magnitudes only.  Shape: (B, T, 3F), as `phases` has them -> (B, 2, T, F)."""
        return super().planes(features[..., :N_BANDS])


class Turning(OfMagnitudes):
    """Answers with a phase residual, too: besides each gain a direction, in two parts, as AudioSep does.

    That is two more products of the same maps a query.  At first nothing is turned much.
    """

    def __init__(self, config: LariatConfig) -> None:
        super().__init__(config)
        self.query_weights = query_mlp(config.query_hidden, 3 * config.n_maps)
        self.query_prior = query_mlp(config.query_hidden, 3 * N_BANDS)
        with torch.no_grad():
            self.query_prior.get_parameter("2.bias")[N_BANDS : 2 * N_BANDS] = AHEAD

    def forward(self, features: Tensor, queries: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the logits of gains and of both parts of directions, side by side.

        Shape: features (B, T, 3F) -> (B, Q, T, 3F), (B, Q, T).
        """
        maps, bottom = self.listen(features)
        n_batch, n_queries, _ = queries.shape
        weights: Tensor = self.query_weights(queries)
        mixed = mix(maps, weights.reshape(n_batch, 3 * n_queries, -1))
        mixed = mixed.view(n_batch, n_queries, 3, *maps.shape[1:3]).transpose(2, 3).flatten(-2)
        return mixed + self.query_prior(queries)[:, :, None], self.presence(bottom, queries)


class PhaseTurning(Turning):
    """The same, and hears how phases go on, so that it has more to tell a direction from."""

    def __init__(self, config: LariatConfig) -> None:
        super().__init__(config)
        self.down[0] = halve(4, config.channels[0])
        self.maps_skip = nn.Conv2d(4, config.n_maps, (1, 3), padding=(0, 1))

    def planes(self, features: Tensor) -> Tensor:
        """Shape: (B, T, 3F) -> (B, 4, T, F)."""
        went_on = features[..., N_BANDS:].view(*features.shape[:2], 2, N_BANDS).transpose(1, 2)
        return torch.cat([super().planes(features), went_on], 1)


def complex_gains(outputs: Tensor) -> Tensor:
    """Return real, then imaginary parts of the gains that a network means by the sigmoids of its logits.

    Shape: (..., F) or, with directions, (..., 3F) -> (..., 2F).
    """
    gains, *direction = torch.split(outputs, N_BANDS, -1)
    if not direction:
        return torch.cat([gains, torch.zeros_like(gains)], -1)
    real, imaginary = (2 * part - 1 for part in direction)
    length = torch.sqrt(real**2 + imaginary**2 + TINY)
    return torch.cat([gains * real / length, gains * imaginary / length], -1)
