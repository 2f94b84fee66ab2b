"""The seven laws of a stream, on the model that ships."""

import re

import numpy as np
import pytest
import torch

from soundlasso import SeparationStream, Separator, load_model, separate
from soundlasso.dsp.errors import AudioError
from soundlasso.dsp.metrics import null_depth_db
from soundlasso.dsp.samples import LOUDEST
from soundlasso.models.checkpoint import load_safetensors, save_safetensors
from soundlasso.models.separator import shipped_weights
from tests.signals import RATES, Audio, noise, run, sine

CHUNKING = 1e-6  # of full scale, between any two chunkings
EXACT = 2e-6  # of full scale: a float32 transform there and back
NULL_DB = -120.0
LENGTHS = [0, 1, 100, 4095, 4096, 4097]
CHANNELS = [1, 2, 6]


def stems_of(stream: SeparationStream, audio: Audio, size: int) -> Audio:
    return run(stream.process, stream.flush, audio, size)


@pytest.fixture(scope="module")
def keeps_all(tmp_path_factory: pytest.TempPathFactory) -> Separator:
    """Lariat with weights that answer any query with a gain of one."""
    tensors = load_safetensors(shipped_weights("lariat"))
    for name in ("query_weights.2.weight", "query_weights.2.bias", "query_prior.2.weight"):
        tensors[name] = torch.zeros_like(tensors[name])
    tensors["query_prior.2.bias"] = torch.full_like(tensors["query_prior.2.bias"], 40.0)
    return load_model(save_safetensors(tensors, tmp_path_factory.mktemp("weights"), "keeps-all"))


# 1, 3: any chunking equals the whole; length in = length out


@pytest.mark.parametrize("stereo", ["linked", "independent"])
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("rate", RATES)
def test_any_chunking_equals_the_whole(lariat: Separator, rate: int, channels: int, stereo: str) -> None:
    stream = SeparationStream(lariat, ["drums", "a voice"], rate, channels, stereo=stereo)  # type: ignore[arg-type]
    audio = noise(channels, 5 * rate, seed=channels)
    whole = stems_of(stream, audio, audio.shape[1])
    assert whole.shape == (2, channels, 5 * rate + stream.latency_samples)
    for size in (8192, 100_000):
        assert np.abs(stems_of(stream, audio, size) - whole).max() <= CHUNKING


@pytest.mark.parametrize("stereo", ["linked", "independent"])
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("rate", RATES)
def test_small_blocks_equal_the_whole(lariat: Separator, rate: int, channels: int, stereo: str) -> None:
    stream = SeparationStream(lariat, ["drums", "a voice"], rate, channels, stereo=stereo)  # type: ignore[arg-type]
    for size, length in ((1, 4097), (17, rate // 2), (64, rate // 2), (509, rate)):
        audio = noise(channels, length)
        whole = stems_of(stream, audio, length)
        assert np.abs(stems_of(stream, audio, size) - whole).max() <= CHUNKING


@pytest.mark.parametrize("size", [1, 17, 509, 100_000])
@pytest.mark.parametrize("length", LENGTHS)
def test_length_in_is_length_out(lariat: Separator, length: int, size: int) -> None:
    stream = SeparationStream(lariat, "drums", 44100, 1, gate=False)
    audio = noise(1, length)
    streamed = stems_of(stream, audio, size)
    whole = separate(audio, 44100, ["drums"], model=lariat, gate=False)
    assert whole.shape == (1, 1, length)
    assert streamed.shape[-1] == length + stream.latency_samples
    assert np.abs(streamed[..., stream.latency_samples :] - whole).max(initial=0) <= CHUNKING


def test_blocks_of_mixed_sizes_equal_the_whole(lariat: Separator) -> None:
    stream = SeparationStream(lariat, "drums", 44100, 2)
    audio = noise(2, 30_000)
    whole = stems_of(stream, audio, 30_000)
    parts = np.split(audio, [0, 1, 18, 82, 591, 8783, 8783, 29_999], axis=1)
    mixed = np.concatenate([*(stream.process(part) for part in parts), stream.flush()], axis=-1)
    assert np.abs(mixed - whole).max() <= CHUNKING


# 2: stems + rest = mixture


@pytest.mark.parametrize("settings", [{}, {"gate": False}, {"consistent": True}, {"avoid": ["a flute"]}])
@pytest.mark.parametrize("rate", RATES)
def test_stem_and_rest_give_the_mixture(lariat: Separator, rate: int, settings: dict[str, object]) -> None:
    audio = noise(2, rate, level=0.2)
    stem = separate(audio, rate, "drums", model=lariat, **settings)  # type: ignore[arg-type]
    rest = separate(audio, rate, "drums", model=lariat, keep="rest", **settings)  # type: ignore[arg-type]
    assert null_depth_db(audio, np.stack([stem, rest])) <= NULL_DB


def test_consistent_stems_never_overlap(lariat: Separator) -> None:
    audio = noise(1, 44100)
    queries = ["drums", "a drum kit", "percussion"]
    apart = separate(audio, 44100, queries, model=lariat, gate=False)
    shared = separate(audio, 44100, queries, model=lariat, gate=False, consistent=True)
    assert np.sum(shared**2) < np.sum(apart**2)
    assert np.sum(shared.sum(0) ** 2) <= np.sum(audio**2)


# 4: latency is what is reported


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("length", [*LENGTHS, 50_000])
def test_a_mask_of_one_is_the_reported_delay(
    keeps_all: Separator, rate: int, channels: int, length: int
) -> None:
    stream = SeparationStream(keeps_all, "anything", rate, channels, gate=False)
    audio = noise(channels, length, level=0.2)
    streamed = stems_of(stream, audio, 509)[0]
    assert np.abs(streamed[:, : stream.latency_samples]).max() <= EXACT
    assert np.abs(streamed[:, stream.latency_samples :] - audio).max(initial=0) <= EXACT


# 5: silence gives silence


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("rate", RATES)
def test_silence_gives_silence(lariat: Separator, rate: int, gate: bool) -> None:
    stems = separate(np.zeros((2, rate), np.float32), rate, ["drums", "a voice"], model=lariat, gate=gate)
    assert not stems.any()


# 6: the same input gives the same output


def test_the_same_input_gives_the_same_output(lariat: Separator) -> None:
    audio = noise(2, 60_000)
    first = separate(audio, 44100, ["drums", "a voice"], model=lariat)
    np.random.seed(1)
    torch.manual_seed(1)
    separate(noise(1, 20_000, seed=5), 48000, "a dog barking", model=lariat, stereo="independent")
    assert np.array_equal(separate(audio, 44100, ["drums", "a voice"], model=lariat), first)


def test_a_stream_is_as_new_after_flush_and_reset(lariat: Separator) -> None:
    stream = SeparationStream(lariat, "drums", 44100, 2)
    audio = noise(2, 20_000)
    first = stems_of(stream, audio, 1000)
    assert np.array_equal(stems_of(stream, audio, 1000), first)
    stream.process(noise(2, 7777, seed=9))
    stream.reset()
    assert np.array_equal(stems_of(stream, audio, 1000), first)


# 7: no silent damage


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e20, -2e12, 1e39])
def test_a_sample_that_cannot_be_is_named(lariat: Separator, bad: float, kind: type[np.floating]) -> None:
    stream = SeparationStream(lariat, "drums", 44100, 2)
    stream.process(noise(2, 1000))
    block = noise(2, 500).astype(kind)
    with np.errstate(over="ignore"):
        block[1, 123] = bad
    with pytest.raises(
        AudioError, match=rf"{re.escape(str(block[1, 123]))} at channel 1, sample 1123; .* ±1e"
    ):
        stream.process(block)


def test_the_loudest_samples_leave_nothing_behind(lariat: Separator) -> None:
    stream = SeparationStream(lariat, ["drums", "a flute"], 44100, 2)
    assert np.isfinite(stream.process(np.full((2, 9000), LOUDEST, np.float32))).all()
    assert np.isfinite(stream.process(noise(2, 20_000))).all() and np.isfinite(stream.presence).all()


def test_a_refused_block_leaves_the_stream_as_it_was(lariat: Separator) -> None:
    stream = SeparationStream(lariat, "drums", 44100, 1)
    audio = noise(1, 10_000)
    whole = stems_of(stream, audio, 1000)
    stream.process(audio[:, :5000])
    with pytest.raises(AudioError):
        stream.process(np.full((1, 10), np.nan, np.float32))
    rest = np.concatenate([stream.process(audio[:, 5000:]), stream.flush()], axis=-1)
    assert np.abs(rest - whole[..., 5000:]).max() <= CHUNKING


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (np.zeros((3, 10), np.float32), r"shape \(2, samples\), not \(3, 10\)"),
        (np.zeros(10, np.float32), r"shape \(2, samples\), not \(10,\)"),
        (np.zeros((2, 10), np.int16), "float32 or float64, not int16"),
        ([[0.0], [0.0]], "float32 or float64, not list"),
    ],
)
def test_a_block_of_the_wrong_kind_is_refused(lariat: Separator, block: Audio, said: str) -> None:
    stream = SeparationStream(lariat, "drums", 44100, 2)
    with pytest.raises(AudioError, match=said):
        stream.process(block)


def test_the_input_is_never_written_to(lariat: Separator) -> None:
    audio = noise(2, 5000)
    audio.flags.writeable = False
    stream = SeparationStream(lariat, "drums", 44100, 2)
    before = audio.copy()
    out = stream.process(audio)
    out += 1
    assert np.array_equal(audio, before)
    assert np.isfinite(stream.flush()).all()


# and that a level which jumps does not upset it


@pytest.mark.parametrize(
    ("query", "share", "tolerance"),
    [("noise", 0.2, 0.1), ("rain", 0.15, 0.1), ("a flute", 0.0, 0.2)],  # the flute is a trace, 27 dB down
)
def test_a_level_jump_of_40_db_only_scales_the_stem(
    lariat: Separator, query: str, share: float, tolerance: float
) -> None:
    rate = 44100
    voice = sine(220, rate, 6 * rate) * (1 + np.sign(sine(3, rate, 6 * rate)))
    mixture = (0.2 * voice + noise(1, 6 * rate, level=0.02)).astype(np.float32)
    jump = np.where(np.arange(6 * rate) < 3 * rate, 0.01, 1.0).astype(np.float32)
    steady = separate(mixture, rate, query, model=lariat, gate=False)
    jumped = separate(mixture * jump, rate, query, model=lariat, gate=False)
    assert np.linalg.norm(steady) > share * np.linalg.norm(mixture)
    for part in (slice(rate, 2 * rate), slice(4 * rate, 6 * rate)):
        expected = (steady * jump)[:, part]
        assert np.linalg.norm(jumped[:, part] - expected) <= tolerance * np.linalg.norm(expected)
