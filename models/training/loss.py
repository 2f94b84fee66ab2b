"""What training minimises: the error of the gain where it is heard, and of presence where it is asked."""

import torch
from torch import Tensor
from torch.nn import functional

from soundlasso.models.training.queries import Batch

TARGET_FLOOR = 0.05
"""Share of the mixture under which a target's error no longer counts relative to the target."""
ABSENT_WEIGHT = 0.5
PRESENCE_WEIGHT = 0.3


def gain_loss(gains: Tensor, batch: Batch) -> Tensor:
    """Return the weighted square error of the gains.

    Bands weigh by magnitude and, a second time, by power; each present target's error is taken
    relative to its own size, so that quiet targets count as much as loud ones.

    Shape: (B, Q, T, F) -> ().
    """
    magnitude = torch.pow(10, batch.features)
    error = (gains - batch.gains) ** 2
    total = torch.zeros_like(batch.asked)
    for power in (1, 2):
        weight = magnitude**power
        weight = (weight / (weight.mean((1, 2), keepdim=True) + 1e-9))[:, None]
        wrong = (weight * error).mean((2, 3))
        size = (weight * batch.gains**2).mean((2, 3))
        total = total + torch.where(batch.asked > 0, wrong / (size + TARGET_FLOOR), wrong)
    count = ABSENT_WEIGHT + (1 - ABSENT_WEIGHT) * batch.asked
    return (total * count).sum() / count.sum()


def presence_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return the binary cross-entropy of presence, frame by frame.  Shape: (B, Q, T) -> ()."""
    return functional.binary_cross_entropy_with_logits(logits, batch.presence)
