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
from soundlasso.bridge.osc.mixer import GLIDE_S, SETTLE_S, LiveMixer
from soundlasso.bridge.osc.state import Slot, State
from soundlasso.bridge.osc.voice import Audio, Voice
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
    played(mixer, noise[:, :4096], 1024)
    assert mixer.stream.queries == ("a violin", "drums", "a voice")
    mixer.levels()
    played(mixer, noise[:, :4096], 1024)
    levels = {level.slot: level for level in mixer.levels()}
    assert levels[1].rms == levels[1].peak == 0.0  # left out
    assert levels[4].peak >= levels[4].rms >= 0.0
    assert all(0 <= level.presence <= 1 for level in levels.values())


DRUMS, CHOIR = Voice(4, "drums", 0.8), Voice(2, "a choir", 0.5, is_removal=True)


def long(noise: Audio) -> Audio:
    """Time for a slot to go and for another to move into its place, and then some."""
    return np.tile(noise, 2 + round(3 * SETTLE_S / (noise.shape[1] / RATE_HZ)))


@pytest.mark.parametrize("gate", [False, True])
def test_a_slot_moves_into_a_free_place_unheard(lariat: Separator, noise: Audio, gate: bool) -> None:
    audio = long(noise)
    mixer = LiveMixer(lariat, RATE_HZ, 2, [Voice(1, "a violin", 0.7), CHOIR, DRUMS], gate=gate)
    mixer.control([CHOIR, DRUMS], 1.0)
    output = played(mixer, audio, 1024)
    assert mixer.stream.queries == ("drums", "a choir")
    wanted = played(LiveMixer(lariat, RATE_HZ, 2, [CHOIR, DRUMS], gate=gate), audio, 1024)
    glide = round(GLIDE_S * RATE_HZ)
    np.testing.assert_allclose(output[:, glide:], wanted[:, glide:], atol=10 * TOLERANCE)
    assert [level.slot for level in mixer.levels()] == [4, 2]


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_slot_that_is_gone_is_no_rival(lariat: Separator, noise: Audio, gone: int) -> None:
    audio = long(noise)
    kept = [CHOIR, DRUMS]
    voices = [*kept[:gone], Voice(1, "percussion", 0.0), *kept[gone:]]
    mixer = LiveMixer(lariat, RATE_HZ, 2, voices, gate=False, consistent=True)
    alone = played(LiveMixer(lariat, RATE_HZ, 2, kept, gate=False, consistent=True), audio, 1024)
    with_rival = played(mixer, audio, 1024)
    assert np.abs(with_rival - alone).max() > 100 * TOLERANCE  # or equality would mean nothing
    mixer = LiveMixer(lariat, RATE_HZ, 2, voices, gate=False, consistent=True)
    mixer.control(kept, 1.0)
    without_rival = played(mixer, audio, 1024)
    end = noise.shape[1] // 2
    np.testing.assert_allclose(without_rival[:, -end:], alone[:, -end:], atol=10 * TOLERANCE)


def test_a_slot_that_comes_back_while_another_moves_is_heard_once(lariat: Separator, noise: Audio) -> None:
    voices = [Voice(1, "a violin", 0.7), CHOIR, DRUMS]
    mixer = LiveMixer(lariat, RATE_HZ, 2, voices, gate=False)
    audio = long(noise)
    mixer.control([CHOIR, DRUMS], 1.0)
    while "coming" not in [place.state for place in mixer._places]:
        mixer.process(audio[:, :1024])
    for asked in ([CHOIR], [CHOIR, DRUMS], voices):
        mixer.control(asked, 1.0)
        mixer.process(audio[:, :1024])
    played(mixer, audio, 1024)
    assert sorted(level.slot for level in mixer.levels()) == [1, 2, 4]
    assert sorted(mixer.stream.queries) == ["a choir", "a violin", "drums"]
    assert sum(place.state == "heard" for place in mixer._places) == 3


def test_the_last_slot_may_go_and_come_back(lariat: Separator, noise: Audio) -> None:
    mixer = LiveMixer(lariat, RATE_HZ, 2, VOICES)
    mixer.control([], 1.0)
    assert np.abs(played(mixer, long(noise), 1024)[:, RATE_HZ:]).max() == 0.0
    assert len(mixer.stream.queries) == 1
    mixer.control(VOICES, 1.0)
    mixer.process(noise)
    assert sorted(mixer.stream.queries) == ["a violin", "drums"]


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
        4: Slot(query="d", enable=0, solo=1),
        5: Slot(),
    }

    def gains() -> dict[int, float]:
        return {voice["slot"]: round(voice["gain"], 3) for voice in controls(state)["voices"]}

    assert gains() == {1: 0.0, 2: 1.995, 3: 0.0}
    state.slots[2].solo = state.slots[3].solo = 0
    assert gains() == {1: 0.501, 2: 1.995, 3: 0.0}
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
        ear.ask("/lasso/stream/start", answer="/lasso/done")  # it plays already, and goes on
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


def test_a_slot_that_takes_part_no_more_is_told_to_be_silent(tmp_path: Path) -> None:
    with running(root=tmp_path, live=str(tmp_path / "loop.wav")) as made, Ear(made.port) as ear:
        live = made.server.live
        assert live is not None
        ear.ask("/lasso/notify", 1, 0, 8, answer="/lasso/done")
        for slots, told in ([[1, 0.25, 0.5, 0.75]], (0.25, 0.5)), ([], (0.0, 0.0)):
            made.ask(lambda slots=slots: live._on_line({"event": "levels", "slots": slots}))  # type: ignore[misc]
            assert ear.wait("/lasso/meter/slot/1") == told
        assert ear.ask("/lasso/slot/1/presence") == (0.0,)
        assert ear.ask("/lasso/slot/1/enable", 0, answer="/lasso/done")
        ear.ask("/lasso/query", "a violin", answer="/lasso/done")
        assert ear.refusal("/lasso/stream/start") == "no_input"


def test_without_a_file_there_is_no_stream() -> None:
    with running() as server, Ear(server.port) as ear:
        assert ear.refusal("/lasso/stream/start") == "no_input"
        assert ear.refusal("/lasso/stream/state") == "no_input"
