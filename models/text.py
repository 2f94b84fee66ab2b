"""Turn a query into a vector: the protocol every text encoder keeps, and MiniLM, the one that ships.

MiniLM is all-MiniLM-L6-v2 (Reimers and Gurevych, Sentence-BERT, EMNLP 2019):
a small BERT whose token vectors are averaged and scaled to unit length.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import normalize

from soundlasso.dsp.errors import ModelError
from soundlasso.models.checkpoint import fill, load_safetensors
from soundlasso.models.eight_bit import unpack_rows
from soundlasso.models.query import check_query

if TYPE_CHECKING:
    from transformers.models.bert import BertModel

CACHED_QUERIES = 4096
MINILM = Path(__file__).parent / "weights" / "minilm" / "minilm-51ec7142.safetensors"
KNOWN_QUERIES = MINILM.with_name("known-2c949744.safetensors")
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

    def prepare(self) -> None:
        """Load now what a new query would otherwise wait for."""
        ...


class CachedEncoder(ABC):
    """The part all encoders share: check each query, encode it alone, remember it.

    Queries are encoded one by one: without padding a query's vector is the same
    whatever it is asked with, and short texts gain nothing from a batch on a CPU.
    """

    name: str
    size: int

    def __init__(
        self, tokenizer: Path, max_tokens: int, known: Mapping[str, Tensor] = MappingProxyType({})
    ) -> None:
        self._known = known
        self._tokenizer = _read_tokenizer(tokenizer)
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

    def prepare(self) -> None:  # noqa: B027 - most encoders are loaded when they are made
        """Load now what a new query would otherwise wait for."""

    def _encode_one(self, query: str) -> Tensor:
        if query in self._known:
            return self._known[query]
        tokens = torch.tensor([self._tokenizer.encode(query).ids])  # (1, tokens)
        with torch.no_grad():
            return normalize(self._embed(tokens)[0], dim=0)

    @abstractmethod
    def _embed(self, tokens: Tensor) -> Tensor:
        """Return the vector of one tokenised query, (1, tokens) -> (1, size), of any length."""


class MiniLM(CachedEncoder):
    """all-MiniLM-L6-v2 from this package's own files: 384 numbers, no network access.

    The vectors of some thousand everyday queries ship beside the weights.  The network, and the
    library that runs it, are loaded for the first query that is not among them, or by `prepare`.
    """

    name = "minilm"
    size = 384

    def __init__(self, weights: Path = MINILM, known: Path | None = KNOWN_QUERIES) -> None:
        vectors = _known_queries(known) if known else {}
        super().__init__(weights.with_name("tokenizer.json"), MINILM_TOKENS, vectors)
        self._weights, self._tensors = weights, load_safetensors(weights)

    def prepare(self) -> None:
        """Load the network now: seconds that a new query would otherwise wait for."""
        self._network  # noqa: B018

    @cached_property
    def _network(self) -> "BertModel":
        # Not AutoModel: it would search all architectures first. Imported here because it takes seconds.
        from transformers.models.bert import BertConfig, BertModel

        config = BertConfig.from_json_file(str(self._weights.with_name("config.json")))
        with torch.device("meta"):
            network = BertModel(config, add_pooling_layer=False)
        return fill(network, unpack_rows(self._tensors), self._weights.name)

    def _embed(self, tokens: Tensor) -> Tensor:
        states: Tensor = self._network(input_ids=tokens).last_hidden_state  # (1, tokens, size)
        return states.mean(1)


def _read_tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library has no narrower kind
        raise ModelError(f"cannot read the tokenizer {str(path)!r}: {error}") from error


def _known_queries(path: Path) -> dict[str, Tensor]:
    """Read the vectors that ship; their texts lie in a file beside them."""
    vectors = normalize(load_safetensors(path)["vectors"].float())
    return dict(zip(json.loads(path.with_suffix(".json").read_text("utf-8")), vectors, strict=True))
