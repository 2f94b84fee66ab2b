"""The text towers of CLAP, which AudioSep's checkpoints listen to, and of CLIP, the idea's first encoder.

CLAP is RoBERTa's pooled vector through two linear layers (Wu et al., "Large-scale Contrastive
Language-Audio Pretraining", ICASSP 2023); CLIP is Radford et al., ICML 2021. Both are scaled to unit
length. Layer counts and widths are read off the tensors' shapes.
"""

import re
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soundlasso.dsp.errors import ModelError
from soundlasso.models.checkpoint import fill
from soundlasso.models.text import CachedEncoder

CLAP_TOKENS = 512
CLIP_TOKENS = 77
HEAD_SIZE = 64  # in RoBERTa and CLIP of every size
_LEAST_SIZE = 8  # of a matrix; no encoder has a smaller one, and transformers trips over some
_ROBERTA_EPSILON = 1e-5  # transformers' CLAP default of 1e-12 is not what the tower was trained with
_POSITIONS_BEFORE_TEXT = 2  # RoBERTa counts positions from its padding index on
_PROJECTION = {"0": "linear1", "2": "linear2"}
_PREFIX = r"(?:query_encoder\.model\.|module\.)?"
_CLAP_NAME = re.compile(_PREFIX + r"text_(branch|projection)\.(.+)")
_CLIP_NAME = re.compile(_PREFIX + r"(text_model\..+|text_projection\.weight)")


def clap_name(published: str) -> str | None:
    """Return transformers' name for a tensor of CLAP or AudioSep; None if it is not of the text tower."""
    match = _CLAP_NAME.fullmatch(published)
    if match is None:
        return None
    part, name = match.groups()
    if part == "branch":
        return f"text_model.{name}"
    number, _, leaf = name.partition(".")
    return f"text_projection.{_PROJECTION.get(number, number)}.{leaf}"


def clip_name(published: str) -> str | None:
    """Return transformers' name for a tensor of CLIP; None if it is not of the text tower."""
    match = _CLIP_NAME.fullmatch(published)
    return match[1] if match else None


class _Tower(CachedEncoder):
    """A large network that is needed seldom: half a gigabyte, let go of after the queries that it was for.

    Parameters
    ----------
    read
        Gives the tensors, named as transformers names them; called again for queries that come later.
    tokenizer
        The encoder's ``tokenizer.json``.
    """

    tokens: int  # that it was trained on
    _spare_positions = 0

    _network: nn.Module | None

    def __init__(self, read: Callable[[], Mapping[str, Tensor]], tokenizer: Path) -> None:
        self._read, self._stays = read, False
        self._encoding = threading.Lock()
        network = self._network = self._build(read())
        config: Any = network.config
        self.size = int(config.projection_dim)
        positions = int(config.max_position_embeddings) - self._spare_positions
        super().__init__(tokenizer, min(self.tokens, positions))
        self._check_tokenizer(tokenizer, config)

    def encode(self, queries: Sequence[str]) -> Tensor:
        """Return the unit vectors of `queries`, shape (queries, size), float32.

        Raises
        ------
        QueryError
            If a text cannot be a query.
        """
        with self._encoding:
            try:
                return super().encode(queries)
            finally:
                if not self._stays:
                    self._network = None

    def prepare(self) -> None:
        """Load the network now and keep it: seconds that a new query would otherwise wait for."""
        with self._encoding:
            self._stays = True
            self._loaded()

    def _check_tokenizer(self, path: Path, config: Any) -> None:
        """Refuse the tokenizer of another encoder: its numbers would stand for other words, or for none."""
        ids = self._tokenizer.encode("a sound").ids
        is_ours = ids[:1] + ids[-1:] == [config.bos_token_id, config.eos_token_id]
        if not is_ours or self._tokenizer.get_vocab_size() > config.vocab_size:
            raise ModelError(
                f"{str(path)!r} is not the tokenizer of this {self.name.upper()} text encoder, which has "
                f"{config.vocab_size} words, and frames a text with numbers {config.bos_token_id} and "
                f"{config.eos_token_id}"
            )

    def _loaded(self) -> nn.Module:
        if self._network is None:
            self._network = self._build(self._read())
        return self._network

    def _embed(self, tokens: Tensor) -> Tensor:
        vector: Tensor = self._loaded()(input_ids=tokens).text_embeds
        return vector

    @abstractmethod
    def _build(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """Return the filled network, of the sizes that the tensors have."""


class CLAP(_Tower):
    """CLAP's text tower with its projection: 512 numbers in the published size."""

    name = "clap"
    tokens = CLAP_TOKENS
    _spare_positions = _POSITIONS_BEFORE_TEXT

    def _build(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        # Not AutoModel: it would search all architectures first. Imported here because it takes seconds.
        from transformers.models.clap.configuration_clap import ClapTextConfig
        from transformers.models.clap.modeling_clap import ClapTextModelWithProjection

        words = _shape(tensors, "text_model.embeddings.word_embeddings.weight")
        config = ClapTextConfig(
            **_widths(tensors, words, "text_model.encoder.layer.{}.intermediate.dense.weight"),
            max_position_embeddings=_shape(tensors, "text_model.embeddings.position_embeddings.weight")[0],
            type_vocab_size=1,
            layer_norm_eps=_ROBERTA_EPSILON,
            projection_dim=_shape(tensors, "text_projection.linear2.weight")[0],
            projection_hidden_act="relu",
        )
        with torch.device("meta"):
            network = ClapTextModelWithProjection(config)
        return fill(network, tensors, "the CLAP text tower")


class CLIP(_Tower):
    """CLIP's text tower with its projection: 512 numbers for ViT-B/32."""

    name = "clip"
    tokens = CLIP_TOKENS

    def _build(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        from transformers.models.clip.configuration_clip import CLIPTextConfig
        from transformers.models.clip.modeling_clip import CLIPTextModelWithProjection

        words = _shape(tensors, "text_model.embeddings.token_embedding.weight")
        config = CLIPTextConfig(
            **_widths(tensors, words, "text_model.encoder.layers.{}.mlp.fc1.weight"),
            max_position_embeddings=_shape(tensors, "text_model.embeddings.position_embedding.weight")[0],
            projection_dim=_shape(tensors, "text_projection.weight")[0],
            hidden_act="quick_gelu",
            bos_token_id=words[0] - 2,  # the last two words of the vocabulary
            eos_token_id=words[0] - 1,
        )
        with torch.device("meta"):
            network = CLIPTextModelWithProjection(config)
        return fill(network, tensors, "the CLIP text tower")


TOWERS: Mapping[str, type[_Tower]] = {"clap": CLAP, "clip": CLIP}


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in tensors or tensors[name].dim() != 2:
        raise ModelError(f"the weights are not those of a text encoder: they have no matrix {name!r}")
    shape = tuple(tensors[name].shape)
    if min(shape) < _LEAST_SIZE:
        raise ModelError(f"the weights are not those of a text encoder: {name!r} has the shape {shape}")
    return shape


def _widths(tensors: Mapping[str, Tensor], words: tuple[int, ...], layer: str) -> dict[str, Any]:
    """Return the sizes that a configuration needs; `layer` names one matrix of each layer."""
    layers = next(count for count in range(len(tensors) + 1) if layer.format(count) not in tensors)
    return {
        "vocab_size": words[0],
        "hidden_size": words[1],
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, words[1] // HEAD_SIZE),
        "intermediate_size": _shape(tensors, layer.format(0))[0],
    }
