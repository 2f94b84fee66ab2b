"""The text towers of CLAP, which AudioSep's checkpoints listen to, and of CLIP, the idea's first encoder.

CLAP is RoBERTa's pooled vector through two linear layers (Wu et al., "Large-scale Contrastive
Language-Audio Pretraining", ICASSP 2023); CLIP is Radford et al., ICML 2021. Both are scaled to unit
length. Layer counts and widths are read off the tensors' shapes.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from soundlasso.dsp.errors import ModelError
from soundlasso.models.checkpoint import fill
from soundlasso.models.text import CachedEncoder

CLAP_TOKENS = 512
HEAD_SIZE = 64  # in RoBERTa and CLIP of every size
_ROBERTA_EPSILON = 1e-5  # transformers' CLAP default of 1e-12 is not what the tower was trained with
_POSITIONS_BEFORE_TEXT = 2  # RoBERTa counts positions from its padding index on
_PROJECTION = {"0": "linear1", "2": "linear2"}
_CLAP_NAME = re.compile(r"(?:query_encoder\.model\.|module\.)?text_(branch|projection)\.(.+)")


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


class CLAP(CachedEncoder):
    """CLAP's text tower with its projection: 512 numbers in the published size.

    Parameters
    ----------
    tensors
        Named as `clap_name` names them.
    tokenizer
        RoBERTa's ``tokenizer.json``.
    """

    name = "clap"

    def __init__(self, tensors: Mapping[str, Tensor], tokenizer: Path) -> None:
        # Not AutoModel: it would search all architectures first. Imported here because it takes seconds.
        from transformers.models.clap.configuration_clap import ClapTextConfig
        from transformers.models.clap.modeling_clap import ClapTextModelWithProjection

        words = _shape(tensors, "text_model.embeddings.word_embeddings.weight")
        positions = _shape(tensors, "text_model.embeddings.position_embeddings.weight")[0]
        super().__init__(tokenizer, min(CLAP_TOKENS, positions - _POSITIONS_BEFORE_TEXT))
        self.size = _shape(tensors, "text_projection.linear2.weight")[0]
        config = ClapTextConfig(
            **_widths(tensors, words, "text_model.encoder.layer.{}.intermediate.dense.weight"),
            max_position_embeddings=positions,
            type_vocab_size=1,
            layer_norm_eps=_ROBERTA_EPSILON,
            projection_dim=self.size,
            projection_hidden_act="relu",
        )
        with torch.device("meta"):
            network = ClapTextModelWithProjection(config)
        self._network = fill(network, tensors, "the CLAP text tower")

    def _embed(self, tokens: Tensor) -> Tensor:
        vector: Tensor = self._network(input_ids=tokens).text_embeds
        return vector


class CLIP(CachedEncoder):
    """CLIP's text tower with its projection, named as transformers names it; 512 numbers for ViT-B/32.

    Parameters
    ----------
    tensors
        ``text_model.*`` and ``text_projection.weight``.
    tokenizer
        CLIP's ``tokenizer.json``.
    """

    name = "clip"

    def __init__(self, tensors: Mapping[str, Tensor], tokenizer: Path) -> None:
        from transformers.models.clip.configuration_clip import CLIPTextConfig
        from transformers.models.clip.modeling_clip import CLIPTextModelWithProjection

        words = _shape(tensors, "text_model.embeddings.token_embedding.weight")
        positions = _shape(tensors, "text_model.embeddings.position_embedding.weight")[0]
        super().__init__(tokenizer, positions)
        self.size = _shape(tensors, "text_projection.weight")[0]
        config = CLIPTextConfig(
            **_widths(tensors, words, "text_model.encoder.layers.{}.mlp.fc1.weight"),
            max_position_embeddings=positions,
            projection_dim=self.size,
            hidden_act="quick_gelu",
            bos_token_id=words[0] - 2,  # the last two words of the vocabulary
            eos_token_id=words[0] - 1,
        )
        with torch.device("meta"):
            network = CLIPTextModelWithProjection(config)
        self._network = fill(network, tensors, "the CLIP text tower")

    def _embed(self, tokens: Tensor) -> Tensor:
        vector: Tensor = self._network(input_ids=tokens).text_embeds
        return vector


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in tensors or tensors[name].dim() != 2:
        raise ModelError(f"the weights are not those of a text encoder: they have no matrix {name!r}")
    return tuple(tensors[name].shape)


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
