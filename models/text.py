"""Turn a query into a vector: the protocol every text encoder keeps, and MiniLM, the one that ships.

MiniLM is all-MiniLM-L6-v2 (Reimers and Gurevych, Sentence-BERT, EMNLP 2019):
a small BERT whose token vectors are averaged and scaled to unit length.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import normalize

from soundlasso.dsp.errors import QueryError
from soundlasso.models.checkpoint import fill, load_safetensors
from soundlasso.models.eight_bit import unpack_rows

MAX_QUERY_CHARACTERS = 300
CACHED_QUERIES = 4096
MINILM = Path(__file__).parent / "weights" / "minilm" / "minilm-51ec7142.safetensors"
MINILM_TOKENS = 256  # all-MiniLM-L6-v2 was trained on no more


class TextEncoder(Protocol):
    """What a model needs of its text encoder."""

    name: str
    size: int

    def encode(self, queries: Sequence[str]) -> Tensor:
        """Return the unit vectors of `queries`, shape (queries, size), float32.

        A query's vector does not depend on the others asked with it.
        """
        ...


def check_query(text: str) -> str:
    """Return `text` trimmed, or raise QueryError if it cannot be a query.

    A query is 1 to 300 characters, at least one of them visible, none a control
    character or half of a surrogate pair.
    """
    if not isinstance(text, str):
        raise QueryError(f"a query is text, not {text!r}")
    query = text.strip()
    categories = [unicodedata.category(character) for character in query]
    if not any(category[0] in "LNPS" for category in categories):
        raise QueryError(f"the query {text!r} is empty; name a sound, such as 'drums'")
    if len(query) > MAX_QUERY_CHARACTERS:
        raise QueryError(
            f"the query {query[:40]!r}... has {len(query)} characters; at most {MAX_QUERY_CHARACTERS} fit"
        )
    for character, category in zip(query, categories, strict=True):
        if category in ("Cc", "Cs"):
            raise QueryError(f"the query {query!r} has the control character {character!r}; use plain text")
    return query


class CachedEncoder:
    """The part all encoders share: check each query, encode it alone, remember it.

    Queries are encoded one by one: without padding a query's vector is the same
    whatever it is asked with, and short texts gain nothing from a batch on a CPU.
    """

    name: str
    size: int

    def __init__(self, tokenizer: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._remembered = lru_cache(maxsize=CACHED_QUERIES)(self._encode_one)

    def encode(self, queries: Sequence[str]) -> Tensor:
        """Return the unit vectors of `queries`, shape (queries, size), float32.

        Raises
        ------
        QueryError
            If a text cannot be a query, see `check_query`.
        """
        vectors = [self._remembered(check_query(query)) for query in queries]
        return torch.stack(vectors) if vectors else torch.empty(0, self.size)

    def _encode_one(self, query: str) -> Tensor:
        tokens = torch.tensor([self._tokenizer.encode(query).ids])  # (1, tokens)
        with torch.no_grad():
            return normalize(self._embed(tokens)[0], dim=0)

    def _embed(self, tokens: Tensor) -> Tensor:
        """Return the vector of one tokenised query, (1, tokens) -> (1, size), of any length."""
        raise NotImplementedError


class MiniLM(CachedEncoder):
    """all-MiniLM-L6-v2 from this package's own files: 384 numbers, no network access."""

    name = "minilm"
    size = 384

    def __init__(self, weights: Path = MINILM) -> None:
        super().__init__(weights.with_name("tokenizer.json"), MINILM_TOKENS)
        tensors = unpack_rows(load_safetensors(weights))
        # Not AutoModel: it would search all architectures first. Imported here because it takes seconds.
        from transformers.models.bert import BertConfig, BertModel

        config = BertConfig.from_json_file(str(weights.with_name("config.json")))
        with torch.device("meta"):
            network = BertModel(config, add_pooling_layer=False)
        self._network = fill(network, tensors, weights.name)

    def _embed(self, tokens: Tensor) -> Tensor:
        states: Tensor = self._network(input_ids=tokens).last_hidden_state  # (1, tokens, size)
        return states.mean(1)
