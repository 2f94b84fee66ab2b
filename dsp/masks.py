"""Gains of several queries for one mixture: who gets how much of it."""

import torch


def compete(gains: torch.Tensor, n_avoid: int, consistent: bool) -> torch.Tensor:
    """Let masks compete, so that together they take no more than there is.

    The last `n_avoid` masks only compete.  With `consistent` every mask competes with every other;
    without, each of the wanted ones competes with those to avoid alone.

    Where the rivals want more than all of a bin, each gets its share of it:
    gain / max(1, sum of rivals' gains).  So consistent stems never overlap, and the rest,
    mixture minus stems, has a gain of 1 - sum >= 0 everywhere.

    Shape: (queries + n_avoid, ...) -> (queries, ...).
    """
    wanted, avoided = gains[: len(gains) - n_avoid], gains[len(gains) - n_avoid :]
    if consistent:
        return wanted / gains.sum(0).clamp_min(1)
    if n_avoid == 0:
        return wanted
    return wanted / (wanted + avoided.sum(0)).clamp_min(1)
