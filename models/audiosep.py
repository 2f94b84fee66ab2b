"""AudioSep's published checkpoints: which tensors are the separator's and which the text tower's.

A Lightning ``.ckpt`` holds both, and an optimiser and CLAP's audio branch that are not read. Plain
``.pt``/``.bin`` state dicts and safetensors are read by the same names.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from soundlasso.dsp.errors import ModelError
from soundlasso.models.checkpoint import check_tensors, parse_safetensors, read_file
from soundlasso.models.clap import clap_name, clip_name
from soundlasso.models.engine import Engine, Profile
from soundlasso.models.pickled import TorchArchive, promised_tensors
from soundlasso.models.resunet import SAMPLE_RATE, ResUNet30
from soundlasso.models.resunet_folded import WindowNetwork
from soundlasso.models.separator import Separator, Stereo
from soundlasso.models.text import TextEncoder
from soundlasso.models.windowed import OFFLINE, WindowEngine

_FROZEN = ("base.stft.", "base.istft.")  # Fourier matrices as convolutions: torch.stft has them built in
_PREFIX = "ss_model."
_SEPARATOR = ("base.", "film.", _PREFIX)

Rename = Callable[[str], str | None]
_TEXT_NAMES: dict[str, Rename] = {"clip": clip_name, "clap": clap_name}  # CLIP's are none of CLAP's


def build(name: str, weights_hash: str, network: WindowNetwork, text: TextEncoder) -> Separator:
    """Return the model of a network and the encoder that it listens to."""

    def start(sample_rate: float, channels: int, stereo: Stereo, profile: Profile | None) -> Engine:
        return WindowEngine(network, sample_rate, channels, stereo, profile or OFFLINE)

    return Separator(name, weights_hash, SAMPLE_RATE, text, start)


def separator_name(published: str) -> str | None:
    """Return our name for a tensor of a separator checkpoint; None if it is not of the network."""
    name = published.removeprefix(_PREFIX)
    return name if published.startswith(_SEPARATOR) and not name.startswith(_FROZEN) else None


def read_separator(path: Path) -> dict[str, Tensor]:
    """Return the separation network's tensors in `path`, checked strictly against `ResUNet30`.

    Raises
    ------
    ModelError
        If the file cannot be read, is a CLAP checkpoint, or lacks, adds or misshapes a tensor.
    """
    names = tensor_names(path)
    tensors = read_tensors(path, separator_name)
    if not tensors:
        texts = [kind for kind, rename in _TEXT_NAMES.items() if any(map(rename, names))]
        kind = (
            f"a {texts[0].upper()} text encoder, not a separator"
            if texts
            else f"not a separator: {_glimpse(names)}"
        )
        raise ModelError(
            f"{str(path)!r} is {kind}; give AudioSep's .ckpt, whose tensors begin with 'ss_model.'"
        )
    with torch.device("meta"):
        network = ResUNet30()
    return check_tensors(tensors, network, repr(str(path)))


def read_text_tower(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Return the kind of text tower in `path`, and its tensors, named as transformers names them.

    Raises
    ------
    ModelError
        If the file cannot be read or has no text tower.
    """
    for kind, rename in _TEXT_NAMES.items():
        if tensors := read_tensors(path, rename):
            return kind, tensors
    names = tensor_names(path)
    is_separator = any(map(separator_name, names))
    kind = "a separator without a text encoder" if is_separator else f"no text encoder: {_glimpse(names)}"
    raise ModelError(
        f"{str(path)!r} is {kind}; give CLAP's .pt, whose tensors hold 'text_branch.', or CLIP's weights as "
        "transformers has them, whose tensors hold 'text_model.'"
    )


def read_tensors(path: Path, rename: Rename) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file or a pickle that `rename` gives a name, under that name."""
    if path.suffix == ".safetensors":
        whole = parse_safetensors(read_file(path), path)
        return {new: tensor for name, tensor in whole.items() if (new := rename(name)) is not None}
    with closing(TorchArchive(path)) as archive:
        tree = promised_tensors(archive.tree)
        return archive.read_all({new: tensor for name, tensor in tree.items() if (new := rename(name))})


def tensor_names(path: Path) -> list[str]:
    """Return the names of all tensors in `path`."""
    if path.suffix == ".safetensors":
        return list(parse_safetensors(read_file(path), path))
    with closing(TorchArchive(path)) as archive:
        return list(promised_tensors(archive.tree))


def _glimpse(names: Iterable[str]) -> str:
    first = list(names)[:3]
    return f"its tensors are {', '.join(map(repr, first))}..." if first else "it holds no named tensors"
