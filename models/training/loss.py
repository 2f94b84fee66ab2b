"""What training minimises: the error of the gain where it is heard, and of presence where it is asked."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from soundlasso.models.training.queries import Batch

FLOOR, ABSENT_FLOOR = 0.01, 0.1
"""Errors count by their decibels down to 20 dB under a target, or 10 under the mixture if there is none."""
SILENT, TINY = 1e-3, 1e-4
"""Share of the mixture's power under which a target is not there in these frames."""
NOTHING = 1e-12
"""Keeps 0 / 0 out of the likeness."""
POWERS = (1, 2)
ABSENT_WEIGHT = 0.5
SHAPE_WEIGHT = 1.0
PRESENCE_WEIGHT = 0.3


def gain_loss(gains: Tensor, batch: Batch, shape_weight: float = SHAPE_WEIGHT) -> Tensor:
    """Return how loud the errors of the gains are, log(1 + error / floor) / 2, and how wrong their shape.

    So 3 dB less error are worth as much for a target that is heard well already as for one that is hardly
    heard, as in a mean of SI-SDR.  (A soft threshold under the logarithm: mixture-invariant training,
    NeurIPS 2020.)  Bands weigh by each of `POWERS` of their magnitude in turn.

    Silence has no more error than the target's own power, but SI-SDR counts what is left of a target that
    came out too quiet; so the shape counts beside the error, `shape_weight` as much.

    Shape: (B, Q, T, F) -> ().
    """
    error = (gains - batch.gains) ** 2
    losses = torch.zeros_like(batch.asked)
    for power in POWERS:
        size = heard(batch.gains**2, batch, power)
        there = (batch.asked > 0) & (size > SILENT)
        floor = torch.where(there, FLOOR * size + TINY, ABSENT_FLOOR)
        losses = losses + torch.log1p(heard(error, batch, power) / floor) / (2 * len(POWERS))
    there = (batch.asked > 0) & (heard(batch.gains**2, batch, 2) > SILENT)
    return of_queries(losses + shape_weight * there * shape_loss(likeness(gains, batch)), batch)


def likeness(gains: Tensor, batch: Batch) -> Tensor:
    """Return the squared cosine between a stem and its target, by band: 1 is the target at any level.

    Shape: (B, Q, T, F) -> (B, Q).
    """
    product = heard(gains * batch.gains, batch, 2)
    return product**2 / (heard(gains**2, batch, 2) * heard(batch.gains**2, batch, 2) + NOTHING)


def shape_loss(alike: Tensor) -> Tensor:
    """Return by how much less than perfect a likeness is, as the negative of SI-SDR in nepers; 0 to 4.6."""
    return (torch.log((1 - alike + FLOOR) / (alike + FLOOR)) + math.log((1 + FLOOR) / FLOOR)) / 2


def heard(values: Tensor, batch: Batch, power: int) -> Tensor:
    """Average over frames and bands, which weigh by a power of their magnitude.

    Shape: (B, Q, T, F) -> (B, Q).
    """
    weight = torch.pow(10, power * batch.features)
    weight = (weight / (weight.mean((1, 2), keepdim=True) + 1e-9))[:, None]
    return (weight * values).mean((2, 3))


def of_queries(losses: Tensor, batch: Batch) -> Tensor:
    """Average over queries, those for what is not there weighing less.  Shape: (B, Q) -> ()."""
    count = ABSENT_WEIGHT + (1 - ABSENT_WEIGHT) * batch.asked
    return (losses * count).sum() / count.sum()


def presence_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return the binary cross-entropy of presence, frame by frame.  Shape: (B, Q, T) -> ()."""
    return functional.binary_cross_entropy_with_logits(logits, batch.presence)
