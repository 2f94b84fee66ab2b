"""Muon for matrices, AdamW for the rest, and a moving average of the weights.

Muon (Jordan et al. 2024): momentum, then the nearest orthogonal matrix by five Newton-Schulz steps.
"""

import copy
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)
BY_ADAMW = ("query_", "maps_", "down.0.conv")
"""First and last layers, which Muon serves badly."""
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal, for matrices; kernels count as (out, rest) matrices.

    `short` computes the Newton-Schulz steps in 16 bits: wherever they go, the next step corrects it.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        weight_decay: float = 0.02,
        momentum: float = 0.95,
        short: bool = False,
    ):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self._short = short

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient; closures are not called."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
        momentum.lerp_(gradient, 1 - group["momentum"])
        matrix = gradient.lerp(momentum, group["momentum"]).flatten(1)
        step = orthogonal(matrix.bfloat16()).float() if self._short else orthogonal(matrix)
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(step.view_as(weight), alpha=-group["lr"] * 0.2 * max(step.shape) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """Push a matrix's singular values towards one.  Shape: (m, n) -> (m, n)."""
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def make_optimisers(
    network: nn.Module, adam_lr: float = 1e-3, short: bool = False
) -> list[torch.optim.Optimizer]:
    """Share a network's weights out between AdamW and Muon."""
    named = list(network.named_parameters())
    to_muon = [p for name, p in named if p.ndim >= 2 and not name.startswith(BY_ADAMW)]
    kept = {id(p) for p in to_muon}
    decayed = [p for _, p in named if p.ndim >= 2 and id(p) not in kept]
    plain = [p for _, p in named if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    return [torch.optim.AdamW(groups, lr=adam_lr, betas=(0.9, 0.98)), Muon(to_muon, short=short)]


class Average(Generic[Net]):
    """An exponential moving average of a network's weights and running statistics."""

    def __init__(self, network: Net, decay: float = 0.999) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval()
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the network in; the first steps count more: at step n the average is over some n / 5 steps."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 5))
        mine = self.network.state_dict()
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                mine[name].lerp_(value, 1 - decay)
            else:
                mine[name].copy_(value)
