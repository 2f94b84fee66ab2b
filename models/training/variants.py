"""Networks that differ from lariat in one thing each, for trials."""

import torch
from torch import Tensor

from soundlasso.models.lariat import Lariat, LariatConfig, mix, query_mlp

LOOKAHEAD_FRAMES = 2


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
