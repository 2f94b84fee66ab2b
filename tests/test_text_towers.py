"""CLAP's and CLIP's text towers against the networks they were published as."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, RobertaConfig, RobertaModel

from soundlasso.dsp.errors import ModelError
from soundlasso.models.clap import CLAP, CLIP, clap_name

SAME_VECTOR = 1e-5  # of a unit vector, largest difference of one number

QUERIES = ["a dog barking", "drums", "someone playing the piano in a large hall while it rains outside"]
SMALL: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 96,
}
PADDED_TOKENS = 96  # longer than any query here


def _tokenizer(folder: Path, specials: dict[str, int], start: str, end: str) -> Path:
    """Write a tokenizer of single bytes, with CLAP's or CLIP's frame around a text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    free = [number for number in range(len(letters) + len(specials)) if number not in specials.values()]
    vocabulary = dict(zip(letters, free, strict=True)) | specials
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    frame = [(start, vocabulary[start]), (end, vocabulary[end])]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=frame)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def roberta_tokenizer(folder: Path) -> Path:
    return _tokenizer(folder, {"<s>": 0, "<pad>": 1, "</s>": 2}, "<s>", "</s>")


def clap_checkpoint(
    config: RobertaConfig, size: int
) -> tuple[RobertaModel, nn.Sequential, dict[str, Tensor]]:
    """Return CLAP as AudioSep builds it, random, and its tensors under the published names."""
    torch.manual_seed(5)
    tower = RobertaModel(config).eval()
    projection = nn.Sequential(nn.Linear(config.hidden_size, size), nn.ReLU(), nn.Linear(size, size))
    parts = {"text_branch": tower, "text_projection": projection}
    tensors = {
        f"{part}.{name}": value
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
    tensors["text_branch.embeddings.position_ids"] = torch.arange(config.max_position_embeddings)[None]
    tensors["text_transform.sequential.0.weight"] = torch.zeros(size, size)
    tensors["audio_branch.bn0.weight"] = torch.zeros(64)
    tensors["logit_scale_a"] = torch.zeros(())
    return tower, projection, tensors


@pytest.mark.parametrize("prefix", ["query_encoder.model.", "module.", ""])
@torch.no_grad()
def test_clap_is_roberta_and_two_linear_layers(prefix: str, tmp_path: Path) -> None:
    _check_clap(
        RobertaConfig(vocab_size=300, max_position_embeddings=514, **_ROBERTA, **SMALL), 32, prefix, tmp_path
    )


@torch.no_grad()
def test_clap_of_the_published_size(tmp_path: Path) -> None:
    _check_clap(
        RobertaConfig(vocab_size=50265, max_position_embeddings=514, **_ROBERTA), 512, "module.", tmp_path
    )


_ROBERTA: dict[str, Any] = {"layer_norm_eps": 1e-5, "type_vocab_size": 1, "pad_token_id": 1}


def _renamed(published: dict[str, Tensor]) -> dict[str, Tensor]:
    return {new: tensor for name, tensor in published.items() if (new := clap_name(name))}


def _check_clap(config: RobertaConfig, size: int, prefix: str, folder: Path) -> None:
    tower, projection, published = clap_checkpoint(config, size)
    tensors = _renamed({prefix + name: tensor for name, tensor in published.items()})
    tokenizer = roberta_tokenizer(folder)
    encoder = CLAP(lambda: tensors, tokenizer)
    built: Any = encoder._network
    assert built.config.layer_norm_eps == config.layer_norm_eps

    padded = Tokenizer.from_file(str(tokenizer))  # as AudioSep: every text padded to one length, with a mask
    padded.enable_padding(length=PADDED_TOKENS, pad_id=1, pad_token="<pad>")
    encoded = [padded.encode(query) for query in QUERIES]
    tokens, mask = (torch.tensor([getattr(e, part) for e in encoded]) for part in ("ids", "attention_mask"))
    expected = normalize(projection(tower(tokens, attention_mask=mask).pooler_output), dim=-1)

    vectors = encoder.encode(QUERIES)
    assert encoder.size == size and vectors.shape == (3, size)
    assert (vectors - expected).abs().max() <= SAME_VECTOR
    assert (vectors[0] - vectors[1]).norm() > 100 * SAME_VECTOR


LONGEST = "\U0001f941" * 300  # four of a tokenizer's bytes each: more tokens than any tower takes


@pytest.mark.parametrize(("positions", "taken"), [(514, 512), (20, 18)])
@torch.no_grad()
def test_a_long_query_is_cut_as_claps_own_tokenizer_cuts_it(
    positions: int, taken: int, tmp_path: Path
) -> None:
    config = RobertaConfig(vocab_size=300, max_position_embeddings=positions, **_ROBERTA, **SMALL)
    tower, projection, published = clap_checkpoint(config, 8)
    tokenizer = roberta_tokenizer(tmp_path)
    start, *words, end = Tokenizer.from_file(str(tokenizer)).encode(LONGEST).ids
    assert len(words) == 1200
    tokens = torch.tensor([[start, *words[: taken - 2], end]])
    expected = normalize(projection(tower(tokens).pooler_output)[0], dim=-1)
    encoder = CLAP(lambda: _renamed(published), tokenizer)
    assert (encoder.encode([LONGEST])[0] - expected).abs().max() <= SAME_VECTOR


@torch.no_grad()
def test_a_long_query_is_cut_for_clip_where_its_positions_end(tmp_path: Path) -> None:
    published, tokenizer = clip_checkpoint(tmp_path, 24)
    start, *words, end = Tokenizer.from_file(str(tokenizer)).encode(LONGEST).ids
    expected = normalize(published(torch.tensor([[start, *words[:75], end]])).text_embeds[0], dim=0)
    encoder = CLIP(published.state_dict, tokenizer)
    assert (encoder.encode([LONGEST])[0] - expected).abs().max() <= SAME_VECTOR


def clip_checkpoint(folder: Path, size: int) -> tuple[CLIPTextModelWithProjection, Path]:
    """Return CLIP's text tower, random, and the path of a tokenizer for it."""
    torch.manual_seed(5)
    start, end = 256, 257  # the last two words, as published
    config = CLIPTextConfig(
        vocab_size=258,
        max_position_embeddings=77,
        projection_dim=size,
        bos_token_id=start,
        eos_token_id=end,
        **SMALL,
    )
    tokenizer = _tokenizer(
        folder, {"<|startoftext|>": start, "<|endoftext|>": end}, "<|startoftext|>", "<|endoftext|>"
    )
    return CLIPTextModelWithProjection(config).eval(), tokenizer


@torch.no_grad()
def test_clip_is_transformers_clip_at_unit_length(tmp_path: Path) -> None:
    published, tokenizer = clip_checkpoint(tmp_path, 24)
    encoder = CLIP(published.state_dict, tokenizer)
    plain = Tokenizer.from_file(str(tokenizer))
    for query, vector in zip(QUERIES, encoder.encode(QUERIES), strict=True):
        tokens = torch.tensor([plain.encode(query).ids])
        expected = normalize(published(tokens).text_embeds[0], dim=0)
        assert (vector - expected).abs().max() <= SAME_VECTOR


def test_a_tower_is_let_go_of_after_its_queries_and_comes_back(tmp_path: Path) -> None:
    published, tokenizer = clip_checkpoint(tmp_path, 24)
    reads: list[int] = []

    def read() -> dict[str, Tensor]:
        reads.append(len(reads))
        return dict(published.state_dict())

    encoder = CLIP(read, tokenizer)
    first = encoder.encode(QUERIES[:2])
    assert len(reads) == 1 and encoder._network is None
    assert torch.equal(encoder.encode(QUERIES[:2]), first) and len(reads) == 1  # remembered
    encoder.encode(QUERIES[2:])
    assert len(reads) == 2 and encoder._network is None
    encoder.prepare()
    encoder.encode(["a bell"])
    encoder.encode(["a horn"])
    assert len(reads) == 3 and encoder._network is not None


def test_weights_that_are_not_a_tower_say_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not those of a text encoder: they have no matrix"):
        CLAP(lambda: {"base.bn0.weight": torch.zeros(1025)}, roberta_tokenizer(tmp_path))


def test_a_tower_with_a_missing_tensor_names_it(tmp_path: Path) -> None:
    config = RobertaConfig(vocab_size=300, max_position_embeddings=514, **_ROBERTA, **SMALL)
    _, _, published = clap_checkpoint(config, 8)
    del published["text_branch.pooler.dense.bias"]
    tensors = _renamed(published)
    with pytest.raises(ModelError, match=r"'text_model\.pooler\.dense\.bias' missing"):
        CLAP(lambda: tensors, roberta_tokenizer(tmp_path))


def test_the_tokenizer_of_another_encoder_is_refused(tmp_path: Path) -> None:
    for folder in ("clap", "clip"):
        (tmp_path / folder).mkdir()
    config = RobertaConfig(vocab_size=300, max_position_embeddings=514, **_ROBERTA, **SMALL)
    clap = _renamed(clap_checkpoint(config, 8)[2])
    claps = roberta_tokenizer(tmp_path / "clap")
    clip, clips = clip_checkpoint(tmp_path / "clip", 24)
    with pytest.raises(ModelError, match=r"not the tokenizer of this CLAP text encoder, .* numbers 0 and 2"):
        CLAP(lambda: clap, clips)
    with pytest.raises(ModelError, match=r"not the tokenizer of this CLIP .* numbers 256 and 257"):
        CLIP(clip.state_dict, claps)
    words = "text_model.embeddings.word_embeddings.weight"
    with pytest.raises(ModelError, match="which has 258 words"):  # the tokenizer has 259
        CLAP(lambda: clap | {words: clap[words][:258]}, claps)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b"{}", "Model missing"), (b"\xff", "UTF-8"), (b'{"model": ', "EOF")],
)
def test_a_damaged_tokenizer_is_named(content: bytes | None, says: str, tmp_path: Path) -> None:
    config = RobertaConfig(vocab_size=300, max_position_embeddings=514, **_ROBERTA, **SMALL)
    tensors, path = _renamed(clap_checkpoint(config, 8)[2]), tmp_path / "words.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"cannot read the tokenizer '.*words\.json': .*{says}"):
        CLAP(lambda: tensors, path)


@pytest.mark.parametrize("shape", [(0, 0), (0, 128), (3, 128), (300, 0), (128,), (64, 64), (2, 3, 4)])
def test_a_tower_of_impossible_shapes_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    config = RobertaConfig(vocab_size=300, max_position_embeddings=514, **_ROBERTA, **SMALL)
    tensors, tokenizer = _renamed(clap_checkpoint(config, 8)[2]), roberta_tokenizer(tmp_path)
    for name, tensor in tensors.items():
        if tensor.dim() == 2 and tensor.is_floating_point():
            with pytest.raises(ModelError, match=r"not those of a text encoder|does not fit|tokenizer"):
                CLAP(lambda name=name: tensors | {name: torch.zeros(shape)}, tokenizer)  # type: ignore[misc]
