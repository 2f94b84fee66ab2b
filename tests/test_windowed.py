"""ResUNet30 by windows: the stream's laws, and the same gains as a pass over the whole signal.

The network has the published form and few channels, so its reach in time is the published one.
"""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from soundlasso import SeparationStream, Separator
from soundlasso.models.audiosep import build
from soundlasso.models.engine import Profile
from soundlasso.models.resunet import HOP_LENGTH, N_FFT, SAMPLE_RATE, ResUNet30, gain
from soundlasso.models.resunet_folded import FoldedUNet, needed_spans
from soundlasso.models.windowed import FADE_FRAMES, FRAME_RATE, LIVE, OFFLINE, WindowEngine
from tests.audiosep_rule import NARROW, condition, fill, mixture, narrow_network
from tests.signals import Audio, blocks, noise, run, sine

CHUNKING = 1e-6  # of full scale, between any two chunkings
EXACT = 2e-6  # of full scale: a float32 transform there and back
RESAMPLED = 1e-4  # of full scale: soxr's HQ pass band, there and back
WHOLE_DB = -100.0  # difference to the whole pass, against its level, with all context; -127 is reached
OFFLINE_DB = -60.0  # the same with the offline profile's context

SAME_GAIN = 2e-4  # 1e-4 is reached, where the phase residual is small
BATCHED = 1e-5  # of full scale: a batch's convolutions add up in another order

SHORT = Profile(hop_s=0.32, past_s=0.32, future_s=0.32)
QUERIES = ["drums", "a voice"]


class Numbered:
    """A text encoder of the published size that draws a query's vector from its text."""

    name, size = "numbered", 512

    def prepare(self) -> None:
        """Have nothing to load."""

    def encode(self, queries: Sequence[str]) -> torch.Tensor:
        return torch.stack([condition(len(query)) for query in queries]) if queries else torch.empty(0, 512)


def keeping_all() -> ResUNet30:
    """Return a network whose gain is one whatever it hears."""
    network = fill(ResUNet30(NARROW))
    network.base.after_conv.weight.zero_()
    network.base.after_conv.bias = torch.nn.Parameter(torch.tensor([40.0, 40.0, 0.0]), requires_grad=False)
    return network


@pytest.fixture(scope="module")
def model() -> Separator:
    return build("narrow", "00000000", FoldedUNet(narrow_network()), Numbered())


@pytest.fixture(scope="module")
def keeps_all() -> Separator:
    return build("keeps-all", "00000000", FoldedUNet(keeping_all()), Numbered())


def stems_of(stream: SeparationStream, audio: Audio, size: int) -> Audio:
    return run(stream.process, stream.flush, audio, size)


@pytest.mark.parametrize(
    ("rate", "stereo"), [(8000, "linked"), (22050, "linked"), (44100, "independent"), (48000, "linked")]
)
def test_any_chunking_equals_the_whole(model: Separator, rate: int, stereo: str) -> None:
    stream = SeparationStream(model, QUERIES, rate, 2, stereo=stereo, profile=SHORT)  # type: ignore[arg-type]
    audio = noise(2, 3 * rate // 2)
    whole = stems_of(stream, audio, audio.shape[1])
    assert whole.shape == (2, 2, audio.shape[1] + stream.latency_samples)
    assert np.abs(whole).max() > 0.01
    for size in (509, 8192):
        assert np.abs(stems_of(stream, audio, size) - whole).max() <= CHUNKING


@pytest.mark.parametrize("size", [1, 17, 100_000])
@pytest.mark.parametrize("length", [0, 1, 100, 4097])
def test_length_in_is_length_out(model: Separator, length: int, size: int) -> None:
    stream = SeparationStream(model, "drums", 44100, 1, profile=SHORT)
    audio = noise(1, length)
    assert stems_of(stream, audio, size).shape == (1, 1, length + stream.latency_samples)


@pytest.mark.parametrize("profile", [SHORT, LIVE, Profile(0.64, 0.0, 0.0)])
def test_latency_is_exact_at_the_networks_rate(keeps_all: Separator, profile: Profile) -> None:
    spectrum = np.fft.rfft(noise(2, 70_000))
    spectrum[:, 33_000:] = 0  # above 15 kHz: the bin at 16 kHz is never kept
    audio = np.fft.irfft(spectrum).astype(np.float32)
    stream = SeparationStream(keeps_all, QUERIES, SAMPLE_RATE, 2, gate=False, profile=profile)
    stems = stems_of(stream, audio, 8192)[:, :, stream.latency_samples :]
    inner = slice(N_FFT, -N_FFT)  # a signal that begins or ends at once has the highest bin as well
    assert np.abs(stems - audio)[..., inner].max() <= EXACT


@pytest.mark.parametrize("rate", [8000, 22050, 32000, 44100, 48000, 96000])
def test_latency_is_exact_at_every_rate(keeps_all: Separator, rate: int) -> None:
    audio = sine(1000, rate, 3 * rate)
    stream = SeparationStream(keeps_all, "drums", rate, 1, gate=False, profile=SHORT)
    stem = stems_of(stream, audio, 8192)[0, :, stream.latency_samples :]
    inner = slice(rate // 2, -rate // 2)
    assert np.abs(stem[:, inner] - audio[:, inner]).max() <= RESAMPLED


@pytest.mark.parametrize(
    ("past_s", "future_s", "most_db"), [(3.2, 3.2, WHOLE_DB), (OFFLINE.past_s, OFFLINE.future_s, OFFLINE_DB)]
)
@torch.inference_mode()
def test_windows_with_context_give_the_whole_pass(
    model: Separator, past_s: float, future_s: float, most_db: float
) -> None:
    silence = 10 * 10_240
    audio = mixture(7.3, 0)
    query = QUERIES[0]
    padded = torch.nn.functional.pad(audio, (silence, silence))[None]
    whole = narrow_network()(padded, condition(len(query))[None])[:, silence:-silence].numpy()
    profile = Profile(hop_s=1.92, past_s=past_s, future_s=future_s)
    stream = SeparationStream(model, query, SAMPLE_RATE, 1, gate=False, profile=profile)
    stem = stems_of(stream, audio.numpy()[None], 100_000)[0, :, stream.latency_samples :]
    difference_db = 10 * np.log10(np.square(stem - whole).mean() / np.square(whole).mean())
    assert difference_db <= most_db


@pytest.mark.parametrize("time", ["hop_s", "past_s", "future_s"])
@pytest.mark.parametrize("value", [-0.1, 60.1, float("inf"), float("nan")])
def test_a_window_of_impossible_length_is_refused(time: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{time} must be .* 60 seconds, not {value!r}"):
        dataclasses.replace(LIVE, **{time: value})


def test_a_window_without_a_hop_is_refused() -> None:
    with pytest.raises(ValueError, match="hop_s must be more than 0"):
        Profile(0.0, 1.0, 1.0)


def held_bytes(part: object) -> int:
    """Return the size of all numbers that an object of ours holds, and the objects in it."""
    if isinstance(part, torch.Tensor | np.ndarray):
        return part.nbytes
    if isinstance(part, list | tuple | collections.deque):
        return sum(map(held_bytes, part))
    is_ours = type(part).__module__.startswith("soundlasso") and not isinstance(part, torch.nn.Module)
    return sum(map(held_bytes, vars(part).values())) if is_ours and hasattr(part, "__dict__") else 0


def test_memory_does_not_grow(model: Separator) -> None:
    stream = SeparationStream(model, QUERIES, 44100, 1, profile=SHORT)
    sizes = []
    for block in blocks(noise(1, 16 * 14_112), 14_112):  # as long as a hop
        stream.process(block)
        stream._engine.take_presence()
        sizes.append(held_bytes(stream._engine))
    assert sizes[0] > 1_000_000  # two windows' room for spectra alone
    assert max(sizes[8:]) <= 1.01 * max(sizes[:8])  # what a resampler keeps back swings a little


def test_gains_fade_from_one_windows_to_the_nexts() -> None:
    engine = WindowEngine(FoldedUNet(narrow_network()), SAMPLE_RATE, 1, "linked", SHORT)
    frames = round(SHORT.hop_s * FRAME_RATE) + FADE_FRAMES
    engine._faded(torch.ones(1, 1, frames, 1))
    faded = engine._faded(torch.zeros(1, 1, frames, 1))[0, 0, :, 0]
    assert torch.allclose(faded[:FADE_FRAMES], 1 - torch.arange(1, FADE_FRAMES + 1) / (FADE_FRAMES + 1))
    assert not faded[FADE_FRAMES:].any()


def test_a_query_that_changes_fades_without_a_click(model: Separator) -> None:
    tone = sine(440, 44100, 4 * 44100)
    stream = SeparationStream(model, "drums", 44100, 1, gate=False, profile=SHORT)
    steady = [
        stems_of(SeparationStream(model, q, 44100, 1, gate=False, profile=SHORT), tone, 4410) for q in QUERIES
    ]
    parts = []
    for number, block in enumerate(blocks(tone, 4410)):
        if number == 20:
            stream.queries = QUERIES[1]
        parts.append(stream.process(block))
    changed = np.concatenate(parts, axis=-1)
    step = max(np.abs(np.diff(stem[..., 44100:-88200])).max() for stem in steady)
    assert np.abs(np.diff(changed[..., 44100:])).max() <= 1.5 * step


def test_a_stem_added_in_flight_lies_in_time_with_the_others(keeps_all: Separator) -> None:
    audio = sine(1000, 44100, 3 * 44100)
    stream = SeparationStream(keeps_all, "drums", 44100, 1, gate=False, profile=SHORT)
    stream.process(audio[:, :50_001])
    stream.queries = ["drums", "voice"]
    stems = np.concatenate([stream.process(audio[:, 50_001:]), stream.flush()], axis=-1)
    assert np.abs(stems[1] - stems[0])[:, -60_000:].max() <= EXACT


def test_a_stem_does_not_depend_on_what_else_is_asked(model: Separator) -> None:
    audio = mixture(1.5, 0).numpy()[None]
    together = stems_of(SeparationStream(model, QUERIES, SAMPLE_RATE, 1, profile=SHORT), audio, 8192)
    for query, stem in zip(QUERIES, together, strict=True):
        alone = stems_of(SeparationStream(model, query, SAMPLE_RATE, 1, profile=SHORT), audio, 8192)
        assert np.array_equal(alone[0], stem)


def test_consistent_stems_take_no_more_than_there_is(keeps_all: Separator) -> None:
    audio = sine(1000, 32000, 96_000)
    stream = SeparationStream(keeps_all, QUERIES, 32000, 1, gate=False, consistent=True, profile=SHORT)
    stems = stems_of(stream, audio, 32_000)[..., stream.latency_samples :]
    assert np.abs(stems.sum(0) - audio)[:, 4000:-4000].max() <= RESAMPLED


def test_avoided_sounds_take_their_share(keeps_all: Separator) -> None:
    audio = sine(1000, 32000, 96_000)
    stream = SeparationStream(keeps_all, "drums", 32000, 1, gate=False, avoid="voice", profile=SHORT)
    stem = stems_of(stream, audio, 32_000)[0, :, stream.latency_samples :]
    assert np.abs(stem - audio / 2)[:, 4000:-4000].max() <= RESAMPLED


def test_presence_rises_when_the_sound_begins(keeps_all: Separator) -> None:
    begins = [130, 150, 171, 190]  # frames, all within what is gated at once
    rises, presence = [], np.ones(1)
    for frame in begins:
        audio = noise(1, 3 * SAMPLE_RATE, seed=3)
        audio[:, : frame * HOP_LENGTH] = 0
        stream = SeparationStream(keeps_all, ["drums"], SAMPLE_RATE, 1, profile=LIVE)
        stream.process(audio)
        (presence,) = stream.take_presence()
        rises.append(int(np.argmax(presence > 0.5)))
    assert presence.min() < 0.1
    assert np.diff(rises) == pytest.approx(np.diff(begins), abs=1)


def test_silence_gives_silence(model: Separator) -> None:
    stream = SeparationStream(model, QUERIES, 44100, 2, profile=SHORT)
    assert not stems_of(stream, np.zeros((2, 60_000), np.float32), 8192).any()


def test_reset_is_as_new(model: Separator) -> None:
    stream = SeparationStream(model, QUERIES, 44100, 1, profile=SHORT)
    first = stems_of(stream, noise(1, 60_000), 8192)
    assert np.array_equal(stems_of(stream, noise(1, 60_000), 8192), first)


@torch.inference_mode()
def test_decoding_fewer_frames_changes_none_of_them() -> None:
    folded = FoldedUNet(narrow_network())
    magnitudes = torch.rand(2, 320, 1025, generator=torch.manual_seed(2))
    shifts = folded.shifts(condition(0))
    whole = folded(magnitudes, shifts)
    for past, future in [(0, 0), (32, 64), (160, 152), (288, 31)]:
        some = folded(magnitudes, shifts, past, future)
        assert (some - whole[:, :, past : 320 - future]).abs().max() <= 1e-5
    assert needed_spans(64, 96, 320, [2, 2]) == [(29, 51), (62, 98)]


@torch.inference_mode()
def test_folding_changes_no_gain() -> None:
    network = narrow_network()
    magnitudes = torch.rand(1, 50, 1025, generator=torch.manual_seed(3))
    expected = gain(network.base(magnitudes, network.shifts(condition(1)[None])))
    folded = FoldedUNet(network)
    assert (gain(folded(magnitudes, folded.shifts(condition(1)))) - expected).abs().max() <= SAME_GAIN


@pytest.mark.parametrize("stereo", ["linked", "independent"])
def test_queries_in_one_batch_are_as_one_by_one(stereo: str) -> None:
    queries, audio = ["drums", "a voice", "rain"], np.stack([mixture(1.0, 0), mixture(1.0, 1)])
    late = []
    for at_once in (1, 2):  # the second: two, then the one that is left
        network = FoldedUNet(narrow_network(), queries_at_once=at_once)
        model = build("narrow", "00000000", network, Numbered())
        stream = SeparationStream(model, queries, SAMPLE_RATE, 2, stereo=stereo, gate=False, profile=SHORT)  # type: ignore[arg-type]
        late.append(stems_of(stream, audio, 16_000))
    assert np.abs(late[0]).max() > 0.01
    assert np.abs(late[1] - late[0]).max() <= BATCHED


@pytest.mark.parametrize("stereo", ["linked", "independent"])
@pytest.mark.parametrize("block", [5_000, 32_000, 100_000])  # less than a window, a few, more than a batch
def test_windows_in_one_batch_are_as_one_by_one(stereo: str, block: int) -> None:
    audio = np.stack([mixture(2.5, 0), mixture(2.5, 1)])
    late, taken = [], []
    for at_once in (1, 3):
        network = FoldedUNet(narrow_network(), windows_at_once=at_once)
        network.register_forward_pre_hook(lambda _, heard: taken.append(len(heard[0])))
        model = build("narrow", "00000000", network, Numbered())
        stream = SeparationStream(model, QUERIES, SAMPLE_RATE, 2, stereo=stereo, profile=SHORT)  # type: ignore[arg-type]
        late.append(stems_of(stream, audio, block))
    rows = 1 if stereo == "linked" else 2
    assert max(taken) == rows * (2 if block == 5_000 else 3)  # two at the end alone
    assert np.abs(late[0]).max() > 0.01
    assert np.abs(late[1] - late[0]).max() <= BATCHED


def test_a_networks_shifts_are_computed_once_for_each_query(monkeypatch: pytest.MonkeyPatch) -> None:
    network, asked = FoldedUNet(narrow_network()), list[int]()
    shifts = network.shifts

    def counted(query: torch.Tensor) -> torch.Tensor:
        asked.append(len(asked))
        return shifts(query)

    monkeypatch.setattr(network, "shifts", counted)
    stream = SeparationStream(
        build("narrow", "00000000", network, Numbered()), QUERIES, SAMPLE_RATE, 1, profile=SHORT
    )
    stems_of(stream, noise(1, 40_000), 8192)
    assert len(asked) == len(QUERIES)
