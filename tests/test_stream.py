"""What can be set while a stream runs, and that nothing clicks when it is."""

from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from soundlasso import SeparationStream, Separator, load_model, separate
from soundlasso.dsp.errors import AudioError, QueryError
from soundlasso.dsp.gate import USUAL_THRESHOLD
from soundlasso.models.checkpoint import load_safetensors, save_safetensors
from soundlasso.models.frames import LEARNED_SHARE
from soundlasso.models.separator import shipped_weights
from tests.signals import Audio, noise, sine

RATE = 44100
TONE_HZ = 587.33
CHANGED = 1e-4  # of full scale: lariat leaves little of a pure tone to duck
VIOLIN = Path(__file__).parents[1] / "examples" / "demo.stems" / "violin.flac"
CLICK_DB = -60.0  # above 4 kHz, against the tone; a hard switch of gain reaches about -20


def click_db(audio: Audio, around: int) -> float:
    """Return the peak above 4 kHz near a sample, in dB of the signal's peak."""
    highpass = scipy.signal.butter(8, 4000, "highpass", fs=RATE, output="sos")
    high = np.asarray(scipy.signal.sosfilt(highpass, audio.astype(np.float64)))
    near = float(np.abs(high[..., around - 500 : around + 8000]).max())
    return 20 * np.log10(near / np.abs(audio).max() + 1e-12)


def stream_with_change(stream: SeparationStream, audio: Audio, change: dict[str, object], at: int) -> Audio:
    first = stream.process(audio[:, :at])
    for name, value in change.items():
        setattr(stream, name, value)
    second = stream.process(audio[:, at:])
    return np.concatenate([first[:1], second[:1]], axis=-1)[0]


def test_a_hard_switch_would_be_heard() -> None:
    tone = sine(TONE_HZ, RATE, 3 * RATE)[0]
    tone[RATE + 50 :] *= 0.5
    assert click_db(tone[None], RATE) > -40


@pytest.mark.parametrize(
    "change",
    [
        {"queries": ["thunder"]},
        {"queries": ["thunder", "a flute"]},
        {"avoid": ["someone playing the flute"]},
        {"consistent": True},
        {"keep": "rest"},
        {"duck_db": -6.0},
        {"keep": "rest", "duck_db": -12.0},
    ],
)
def test_a_change_in_flight_is_heard_but_does_not_click(lariat: Separator, change: dict[str, object]) -> None:
    tone = sine(TONE_HZ, RATE, 3 * RATE)
    steady = SeparationStream(lariat, "a flute", RATE, 1, gate=False).process(tone)[0]
    stream = SeparationStream(lariat, "a flute", RATE, 1, gate=False)
    changed = stream_with_change(stream, tone, change, RATE)
    after = slice(2 * RATE, None)
    if change != {"consistent": True}:  # a single mask has no rival
        assert np.abs(changed[:, after] - steady[:, after]).max() > CHANGED
    assert np.abs(changed[:, : RATE - 1] - steady[:, : RATE - 1]).max() <= 1e-6
    assert click_db(changed, RATE + stream.latency_samples // 2) < CLICK_DB


def test_a_changed_query_gives_what_a_fresh_stream_gives(lariat: Separator) -> None:
    audio = noise(1, 3 * RATE)
    changed = SeparationStream(lariat, "drums", RATE, 1, gate=False)
    fresh = SeparationStream(lariat, "a voice", RATE, 1, gate=False)
    late = stream_with_change(changed, audio, {"queries": ["a voice"]}, RATE)
    expected = fresh.process(audio)[0]
    forgotten = 3 * RATE // 2  # presence of the query before fades by a factor of e in 0.1 s
    settled = RATE + changed.latency_samples + forgotten
    assert np.abs(late[:, settled:] - expected[:, settled:]).max() <= 1e-6


def test_more_and_fewer_queries_in_flight(lariat: Separator) -> None:
    stream = SeparationStream(lariat, ["drums"], RATE, 2)
    for queries in (["drums", "a voice", "a dog"], ["a dog"], ["drums", "a voice"]):
        stream.queries = queries  # type: ignore[assignment]
        assert stream.queries == tuple(queries)
        assert stream.process(noise(2, 3000)).shape == (len(queries), 2, 3000)
        assert stream.presence.shape == (len(queries),)
    assert stream.flush().shape == (2, 2, stream.latency_samples)


def test_duck_turns_down_instead_of_removing(lariat: Separator) -> None:
    audio = noise(1, RATE)
    stem, ducked = (
        SeparationStream(lariat, "drums", RATE, 1, gate=False, duck_db=duck_db).process(audio)[0]
        for duck_db in (None, -20.0)
    )
    late = SeparationStream(lariat, "drums", RATE, 1).latency_samples
    dry = np.pad(audio, ((0, 0), (late, 0)))[:, :RATE]
    np.testing.assert_allclose(ducked, stem + 0.1 * (dry - stem), atol=1e-6)


def test_presence_rises_with_the_sound_and_falls_with_silence(lariat: Separator) -> None:
    stream = SeparationStream(lariat, "violin", RATE, 1)
    assert stream.presence[0] == 0
    violin, _ = soundfile.read(VIOLIN, frames=6 * RATE, always_2d=True)
    stream.process(np.asarray(violin.T[:1], np.float32))
    assert stream.presence[0] > 0.5
    stream.process(np.zeros((1, 5 * RATE), np.float32))
    assert stream.presence[0] < 0.1


def test_frames_that_are_only_partly_filled_are_evidence_of_nothing(lariat: Separator) -> None:
    stream = SeparationStream(lariat, "a flute", RATE, 1)
    melody = np.asarray(sum(sine(f, RATE, RATE, 0.1) for f in (587.3, 1174.6, 1761.9)))
    for _ in range(2):
        stream.process(melody)
        presence = stream.take_presence()[0]
        assert (presence[:3] == 0).all() and (presence[3:] > 0).all()
        stream.reset()


def test_a_refused_query_changes_nothing(lariat: Separator) -> None:
    stream = SeparationStream(lariat, "drums", RATE, 1)
    for bad in ("", "  ", "x" * 301, "a\x00b"):
        with pytest.raises(QueryError):
            stream.queries = bad  # type: ignore[assignment]
    with pytest.raises(QueryError, match="name at least one sound"):
        stream.queries = []  # type: ignore[assignment]
    assert stream.queries == ("drums",)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"keep": "all"}, "keep must be one of stem, rest, not 'all'"),
        ({"duck_db": 3.0}, "duck_db must be a number of 0 or less, not 3.0"),
        ({"duck_db": float("nan")}, "duck_db must be a number of 0 or less"),
        ({"stereo": "wide"}, "stereo must be one of linked, independent, not 'wide'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    lariat: Separator, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        SeparationStream(lariat, "drums", RATE, 1, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rate", "channels"), [(0, 1), (999, 1), (1e9, 1), (float("nan"), 1), (RATE, 0), (RATE, 65)]
)
def test_an_impossible_format_is_refused(lariat: Separator, rate: float, channels: int) -> None:
    with pytest.raises(AudioError, match="must be"):
        SeparationStream(lariat, "drums", rate, channels)


def test_learned_presence_has_its_share_of_the_word(tmp_path: Path) -> None:
    """The same network, once sure of every sound and once of none."""
    tensors = load_safetensors(shipped_weights("lariat"))
    hidden, bottom = len(tensors["query_weights.0.bias"]), len(tensors["squeeze.bias"])
    head = {
        "query_presence.0.weight": torch.zeros(hidden, 384),
        "query_presence.0.bias": torch.zeros(hidden),
        "query_presence.2.weight": torch.zeros(bottom + 1, hidden),
    }
    presence = {}
    for bias in (20.0, -20.0):
        head["query_presence.2.bias"] = torch.cat([torch.zeros(bottom), torch.tensor([bias])])
        model = load_model(save_safetensors({**tensors, **head}, tmp_path, "with-presence"))
        stream = SeparationStream(model, "drums", RATE, 1)
        stream.process(noise(1, 2 * RATE))
        presence[bias] = stream.presence[0]
    assert presence[20.0] - presence[-20.0] == pytest.approx(LEARNED_SHARE, abs=1e-6)
    assert presence[-20.0] > 0


def test_a_gate_threshold_of_0_lets_all_through_and_of_1_nothing() -> None:
    mix = noise(2, 48000, level=0.1)
    stream = SeparationStream("lariat", ["drums", "a flute", "rain"], 48000, 2, gate_threshold=[0, 1, 0])
    free = SeparationStream("lariat", ["drums", "a flute", "rain"], 48000, 2, gate=False)
    gated, ungated = stream.process(mix), free.process(mix)
    opened = round(0.3 * 48000)  # the gate begins closed, and the output is late
    np.testing.assert_array_equal(gated[[0, 2], :, opened:], ungated[[0, 2], :, opened:])
    assert np.abs(ungated[0]).max() > 0 and not gated[1].any()
    assert not separate(mix, 48000, "a flute", gate_threshold=1).any()


def test_gate_thresholds_stay_with_their_queries() -> None:
    stream = SeparationStream("lariat", ["a", "b"], 48000, 1, gate_threshold=[0.1, 0.2])
    stream.queries = ["a", "b", "c"]
    assert stream.gate_threshold == (0.1, 0.2, USUAL_THRESHOLD)
    stream.queries = "a"
    assert stream.gate_threshold == (0.1,)
    stream.gate_threshold = 0.7
    assert stream.gate_threshold == (0.7,)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), (0.1,), (0.1, 0.2, 0.3)])
def test_gate_thresholds_that_cannot_be_are_refused(threshold: float | tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="gate_threshold must be a number from 0 to 1, or one for each of 2"):
        SeparationStream("lariat", ["a", "b"], 48000, 1, gate_threshold=threshold)
