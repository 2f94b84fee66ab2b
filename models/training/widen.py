"""Make a trained network wider or deeper, so that it goes on from what it knows.

The larger network answers as the smaller one did: new units hear the old ones, and nothing listens to them
yet.  (Net2Net, ICLR 2016, does it by copies.)  Only where the bottom is wider the answers differ a little
at first, for its layer norms average over more numbers.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from soundlasso.models.lariat import Lariat, LariatConfig

Places = tuple[Tensor, ...]
"""For each axis of a tensor, where the old numbers lie in the new one."""


def widen(tensors: Mapping[str, Tensor], config: LariatConfig) -> dict[str, Tensor]:
    """Return the weights of a network shaped by `config` that answers as the one of `tensors` does.

    Raises
    ------
    ValueError
        If the new network would be smaller somewhere, or has no place for some of the weights.
    """
    old = LariatConfig.of(tensors)
    _check(old, config)
    wider = {name: value.clone() for name, value in Lariat(config).state_dict().items()}
    if unknown := sorted(tensors.keys() - wider.keys()):
        raise ValueError(f"these weights are for another network; unknown {unknown[:3]}")
    for name, value in wider.items():
        if name in tensors:
            _put(name, value, tensors[name], places(name, tensors[name].shape, old, config))
        elif name.endswith(("out.weight", "out.bias", "fall.weight", "fall.bias")):
            value.zero_()  # a new scan or feed-forward layer adds nothing yet
    return wider


def _check(old: LariatConfig, new: LariatConfig) -> None:
    if len(old.channels) != len(new.channels) or old.query_hidden != new.query_hidden:
        raise ValueError(f"a network keeps its levels and its query_hidden: from {old} to {new}")
    sizes = ((size.n_maps, size.bottom, size.n_scans, *size.channels) for size in (old, new))
    if any(before > after for before, after in zip(*sizes, strict=True)):
        raise ValueError(f"a network can only grow: from {old} to {new}")


def _put(name: str, new: Tensor, old: Tensor, where: Places) -> None:
    """Write the old numbers into the new tensor, and make old units deaf to new ones."""
    if not old.ndim:
        new.copy_(old)
        return
    if name.startswith(("query_weights.2", "query_presence.2")):
        new.zero_()  # no query wants what is new
    elif old.ndim > 1:
        out = 1 if _is_transposed(name) else 0
        new.index_fill_(out, where[out], 0)
    grown = (old.shape[0] / new.shape[0]) ** 0.5 if _is_layer_norm(name) else 1.0
    new[torch.meshgrid(*where, indexing="ij")] = old * grown


def _is_transposed(name: str) -> bool:
    return name.startswith(("up.", "maps_up.")) and name.endswith("weight")


def _is_layer_norm(name: str) -> bool:
    return name.startswith(("scans.", "feeds.")) and "norm" in name and name.endswith("weight")


def places(name: str, shape: torch.Size, old: LariatConfig, new: LariatConfig) -> Places:
    """Return where a tensor of the old network lies in the one of the new network, axis by axis."""
    first = [torch.arange(size) for size in shape]
    head, *rest = name.split(".")
    if head == "squeeze" and rest == ["weight"]:
        first[1] = _blocks(old.narrow, old.channels[-1], new.channels[-1])
    elif head == "expand":
        first[0] = _blocks(old.narrow, old.channels[-1], new.channels[-1])
    elif head == "merge" and rest[1:] == ["conv", "weight"]:
        level = len(old.channels) - 2 - int(rest[0])
        first[1] = _blocks(2, old.channels[level], new.channels[level])
    elif rest[1:2] == ["gates"]:
        first[0] = _blocks(3, old.bottom, new.bottom)
    elif head == "query_presence" and rest[0] == "2":
        first[0] = torch.cat([torch.arange(old.bottom), torch.tensor([new.bottom])])
    return tuple(first)


def _blocks(count: int, old: int, new: int) -> Tensor:
    """Return where `count` runs of `old` numbers begin to lie when each run has `new`."""
    return (torch.arange(count)[:, None] * new + torch.arange(old)).flatten()
