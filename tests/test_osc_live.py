"""What is moved over OSC acts on the running stream: mix, gain, mute, solo, keep and remove, without clicks.

The mixer is compared with the stream whose stems it mixes, sample for sample (1e-6 of full scale).
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.osc.live import CONTROL_PERIOD_S, controls
from soundlasso.bridge.osc.mixer import GLIDE_S, Audio, LiveMixer, Voice
from soundlasso.bridge.osc.state import Slot, State
from soundlasso.dsp.delay import Delay
from soundlasso.models.separator import Separator
from soundlasso.models.stream import SeparationStream
from tests.osc_help import Ear, Running, running

TOLERANCE = 1e-6
RATE_HZ = 44100
READY_LIMIT_S = 120.0  # libraries load slowly on a busy machine
CLICK_LIMIT = 0.02  # the largest step that a glide of a full gain may add between two samples


@pytest.fixture(scope="module")
def noise() -> Audio:
    return (0.1 * np.random.default_rng(5).standard_normal((2, RATE_HZ // 2))).astype(np.float32)


VOICES = [Voice(1, "a violin", 0.5), Voice(4, "drums", 2.0)]


def played(mixer: LiveMixer, audio: Audio, block: int) -> Audio:
    return np.concatenate(
        [mixer.process(audio[:, i : i + block]) for i in range(0, audio.shape[1], block)], axis=1
    )


@pytest.mark.parametrize("block", [509, 1024])
def test_the_mix_is_the_sum_of_the_stems_with_their_gains(
    lariat: Separator, noise: Audio, block: int
) -> None:
    stems = SeparationStream(lariat, ["a violin", "drums"], RATE_HZ, 2, gate=False).process(noise)
    assert np.abs(stems).max(axis=(1, 2)).min() > 100 * TOLERANCE  # or equality would mean nothing
    output = played(LiveMixer(lariat, RATE_HZ, 2, VOICES, gate=False), noise, block)
    np.testing.assert_allclose(output, 0.5 * stems[0] + 2.0 * stems[1], atol=TOLERANCE)


def test_keep_and_remove_of_one_sound_are_the_input(lariat: Separator, noise: Audio) -> None:
    voices = [Voice(1, "a violin", 1.0), Voice(2, "a violin", 1.0, is_removal=True)]
    mixer = LiveMixer(lariat, RATE_HZ, 2, voices, gate=False)
    delayed = Delay(2, mixer.latency_samples).process(noise)
    np.testing.assert_allclose(played(mixer, noise, 1024), delayed, atol=TOLERANCE)


def test_mix_at_zero_is_the_input(lariat: Separator, noise: Audio) -> None:
    mixer = LiveMixer(lariat, RATE_HZ, 2, VOICES, mix=0.0, gate=False)
    delayed = Delay(2, mixer.latency_samples).process(noise)
    np.testing.assert_allclose(played(mixer, noise, 1024), delayed, atol=TOLERANCE)


def test_a_mute_glides_to_silence(lariat: Separator) -> None:
    hum = np.tile(0.5 * np.sin(2 * np.pi * 110 * np.arange(RATE_HZ) / RATE_HZ), (1, 1)).astype(np.float32)
    mixer = LiveMixer(lariat, RATE_HZ, 1, [Voice(1, "a hum", 1.0, is_removal=True)], gate=False)
    before = mixer.process(hum[:, : RATE_HZ // 2])
    mixer.control([Voice(1, "a hum", 0.0, is_removal=True)], 1.0)
    after = mixer.process(hum[:, RATE_HZ // 2 :])
    glide = round(GLIDE_S * RATE_HZ)
    assert np.abs(after[:, glide:]).max() == 0.0
    steps = np.abs(np.diff(np.concatenate([before, after], axis=1)[:, -RATE_HZ // 2 - 200 :]))
    assert steps.max() < CLICK_LIMIT


def test_slots_come_and_go_while_it_plays(lariat: Separator, noise: Audio) -> None:
    mixer = LiveMixer(lariat, RATE_HZ, 2, VOICES)
    mixer.process(noise)
    mixer.control([Voice(2, "a voice", 1.0), Voice(4, "drums", 1.0)], 1.0)
    mixer.process(noise)
    assert mixer.stream.queries == ("a violin", "drums", "a voice")
    mixer.levels()
    mixer.process(noise)
    levels = {level.slot: level for level in mixer.levels()}
    assert levels[1].rms == levels[1].peak == 0.0  # left out
    assert levels[4].peak >= levels[4].rms >= 0.0
    assert all(0 <= level.presence <= 1 for level in levels.values())


def test_each_slot_has_its_own_gate_threshold(lariat: Separator, noise: Audio) -> None:
    voices = [Voice(1, "a violin", 1.0, threshold=1.0), Voice(4, "drums", 1.0, threshold=0.0)]
    mixer = LiveMixer(lariat, RATE_HZ, 2, voices)
    mixer.process(noise)
    levels = {level.slot: level for level in mixer.levels()}
    assert levels[1].peak == 0.0 < levels[4].peak
    mixer.control([Voice(4, "drums", 1.0, threshold=1.0), Voice(2, "a voice", 1.0, threshold=0.2)], 1.0)
    assert mixer.stream.gate_threshold == (1.0, 1.0, 0.2)
    assert [
        voice["threshold"] for voice in controls(State(slots={1: Slot("x", threshold=0.3)}))["voices"]
    ] == [0.3]


def test_solo_mute_and_enable_decide_who_is_heard() -> None:
    state = State()
    state.slots = {
        1: Slot(query="a", gain_db=-6.0),
        2: Slot(query="b", solo=1, gain_db=6.0),
        3: Slot(query="c", solo=1, mute=1),
        4: Slot(query="d", enable=0),
        5: Slot(),
    }

    def gains() -> dict[int, float]:
        return {voice["slot"]: round(voice["gain"], 3) for voice in controls(state)["voices"]}

    assert gains() == {1: 0.0, 2: 1.995, 3: 0.0, 4: 0.0}
    state.slots[2].solo = state.slots[3].solo = 0
    assert gains() == {1: 0.501, 2: 1.995, 3: 0.0, 4: 0.0}
    state.slots[1].gain_db = -60.0
    assert gains()[1] == 0.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, noise: Audio) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("live")
    soundfile.write(root / "loop.wav", noise.T, RATE_HZ, subtype="FLOAT")
    with running(root=root, live=str(root / "loop.wav"), live_record=root / "heard.wav") as made:
        yield made


def test_a_file_is_played_and_its_slots_are_moved(server: Running) -> None:
    root: Path = server.server.options.root
    with Ear(server.port) as ear:
        assert ear.refusal("/lasso/stream/start") == "no_input"
        ear.ask("/lasso/slot/1/mode", "remove", answer="/lasso/done")
        ear.ask("/lasso/query", "a violin", answer="/lasso/done")
        ear.ask("/lasso/notify", 1, 0, 9, answer="/lasso/done")
        ear.ask("/lasso/stream/start", answer="/lasso/done")
        state, latency_s, late = ear.wait("/lasso/stream/state", READY_LIMIT_S)
        assert state == "playing"
        assert 0.0 < latency_s < 0.5
        assert late == 0
        *_, rate_hz, told_s = ear.ask("/lasso/status", answer="/lasso/status/reply")
        assert (rate_hz, told_s) == (RATE_HZ, latency_s)
        assert ear.wait("/lasso/slot/1/presence")[0] >= 0.0
        while ear.wait("/lasso/meter/slot/1")[1] == 0.0:
            pass  # the latency of the stream passes in silence
        ear.ask("/lasso/slot/1/mute", 1, answer="/lasso/done")
        end_s = time.monotonic() + READY_LIMIT_S
        while ear.wait("/lasso/meter/slot/1") != (0.0, 0.0):
            assert time.monotonic() < end_s
        ear.ask("/lasso/slot/1/query", " ", answer="/lasso/done")
        ear.ask("/lasso/stream/stop", answer="/lasso/done")
        assert ear.wait("/lasso/stream/state", READY_LIMIT_S)[0] == "stopped"
        assert ear.ask("/lasso/status", answer="/lasso/status/reply")[-2:] == (0.0, 0.0)
    recorded, rate_hz = soundfile.read(root / "heard.wav", always_2d=True)
    assert rate_hz == RATE_HZ
    assert np.abs(recorded).max() > 0.0
    assert np.abs(recorded[-1]).max() == 0.0  # the mute was heard
    assert [path.name for path in root.iterdir() if path.name.endswith(".part")] == []


def test_a_flood_of_changes_reaches_the_player_as_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    with running(root=tmp_path, live=str(tmp_path / "loop.wav")) as made, Ear(made.port) as ear:
        live = made.server.live
        assert live is not None
        monkeypatch.setattr(live, "_wanted", True)
        monkeypatch.setattr(live.process, "_is_ready", True)
        monkeypatch.setattr(live.process, "send", sent.append)
        start_s = time.monotonic()
        for step in range(1000):
            ear.ask("/lasso/mix", step / 1000, answer="/lasso/done")
        time.sleep(2 * CONTROL_PERIOD_S)
        ear.drain()
        assert len(sent) <= (time.monotonic() - start_s) / CONTROL_PERIOD_S
    assert sent[-1]["controls"]["mix"] == pytest.approx(0.999)


def test_without_a_file_there_is_no_stream() -> None:
    with running() as server, Ear(server.port) as ear:
        assert ear.refusal("/lasso/stream/start") == "no_input"
        assert ear.refusal("/lasso/stream/state") == "no_input"
