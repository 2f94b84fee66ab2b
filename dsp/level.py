"""A running level: loud at once, quiet slowly, and never anything from the future."""

import torch

RELEASE_DB_PER_S = 10.0
FLOOR_DB = -75.0


class RunningLevel:
    """Follow the level of frames: it rises with a louder frame at once and falls by 10 dB a second.

    In decibels the fall is a straight line, so the whole recurrence

        level[t] = max(power_db[t], level[t-1] - fall)

    is one running maximum of power_db[t] + t * fall.

    Shape: process (batch, T) powers -> (batch, T) levels in dB, at least `FLOOR_DB`.
    """

    def __init__(self, frame_rate: float) -> None:
        self.fall_db = RELEASE_DB_PER_S / frame_rate
        self.reset()

    def reset(self) -> None:
        """Start again from the floor."""
        self._last_db: torch.Tensor | None = None

    def process(self, power: torch.Tensor) -> torch.Tensor:
        """Take the mean power of each frame; return the level of each, in dB."""
        power_db = (10 * torch.log10(power + 1e-20)).clamp_min(FLOOR_DB)
        n_frames = power.shape[-1]
        if n_frames == 0:
            return power_db
        fallen = self.fall_db * torch.arange(1, n_frames + 1, device=power.device)
        start = self._last_db if self._last_db is not None else torch.full_like(power_db[..., 0], FLOOR_DB)
        line = torch.cat([start[..., None], power_db + fallen], -1)
        level_db = (torch.cummax(line, -1).values[..., 1:] - fallen).clamp_min(FLOOR_DB)
        self._last_db = level_db[..., -1]
        return level_db
