"""The chain of the live mix: built over OSC, its parameters moved, heard as pedalboard alone would sound.

What is heard is compared with pedalboard's own board after the mixer (1e-6 of full scale).
"""

import gc
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard
import pytest
import soundfile
from pedalboard._pedalboard import Pedalboard
from websockets.sync.client import connect

from soundlasso.bridge.osc import chaining
from soundlasso.bridge.osc.chain import FIXED, MAX_EFFECTS, RANGES, Chain
from soundlasso.bridge.osc.heard import Heard
from soundlasso.bridge.osc.live import controls
from soundlasso.bridge.osc.mixer import LiveMixer
from soundlasso.bridge.osc.oscquery import tree
from soundlasso.bridge.osc.presets import apply_preset, as_preset
from soundlasso.bridge.osc.server import MAX_IN_BACKGROUND
from soundlasso.bridge.osc.state import Slot, State
from soundlasso.bridge.osc.voice import Audio, Voice
from soundlasso.bridge.presets.chains import Link, effects, parameters
from soundlasso.bridge.presets.preset import Mix, Preset, Stem
from soundlasso.models.separator import Separator
from tests.osc_help import Ear, Running, running

TOLERANCE = 1e-6
RATE_HZ = 44100
BLOCK = 1024
LOAD_LIMIT_S = 60.0  # libraries load slowly on a busy machine
REVERB, GAIN = Link("effect", "Reverb", {"room_size": 0.9}), Link("effect", "Gain", {"gain_db": -6.0})


@pytest.fixture
def server() -> Iterator[Running]:
    with running() as made:
        yield made


@pytest.fixture(scope="module")
def noise() -> Audio:
    return (0.1 * np.random.default_rng(6).standard_normal((2, RATE_HZ))).astype(np.float32)


def add(ear: Ear, *names: str) -> None:
    for name in names:
        ear.send("/lasso/chain/add", name)
        assert ear.wait("/lasso/done", LOAD_LIMIT_S)[::2] == ("/lasso/chain/add", name)


# Rows


@pytest.mark.parametrize("name", effects())
def test_every_parameter_of_every_effect_can_be_moved_as_far_as_it_says(name: str) -> None:
    if None in parameters(name).values():
        return  # a convolution is made with a file
    effect: Any = effects()[name]()
    moved = {control[2]: control[3] for control in Chain((Link("effect", name),)).controls()}
    assert set(moved) == set(parameters(name)) - set(FIXED)
    for key, arg in moved.items():
        if arg.choices:
            assert set(arg.choices) == set(type(getattr(effect, key)).__members__)
            continue
        for value in (arg.low, arg.high, parameters(name)[key]):
            assert value is not None and arg.low is not None and arg.high is not None
            assert arg.low <= value <= arg.high
            setattr(effect, key, value)
            assert getattr(effect, key) == pytest.approx(value, rel=1e-3, abs=1e-3)


def test_every_range_is_that_of_a_parameter() -> None:
    assert set(RANGES) == {key for name in effects() for key in parameters(name)} - set(FIXED) - {
        "mode",
        "true_peak",
    }


def test_a_chain_is_built_listed_and_taken_apart(ear: Ear) -> None:
    add(ear, "Reverb", "Gain", "LadderFilter")
    ear.send("/lasso/chain/list")
    assert ear.wait("/lasso/chain/end") == (3,)
    items = [message.args for message in ear.heard if message.address == "/lasso/chain/item"]
    assert items == [(1, "Reverb"), (2, "Gain"), (3, "LadderFilter")]
    ear.ask("/lasso/chain/2/param/gain_db", -12.5, answer="/lasso/done")
    assert ear.ask("/lasso/chain/remove", 1, answer="/lasso/done") == ("/lasso/chain/remove", 1)
    assert ear.ask("/lasso/chain/1/param/gain_db") == (-12.5,)  # it has moved up
    assert ear.refusal("/lasso/chain/1/param/room_size") == "unknown_address"
    assert ear.refusal("/lasso/chain/remove", 3) == "not_found"


def test_what_is_added_and_taken_out_keeps_its_order(
    server: Running, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_at_first(name: str) -> Link:
        time.sleep(0.3 if name == "Reverb" else 0)
        return Link("effect", name)

    monkeypatch.setattr(chaining, "_link", slow_at_first)
    for name in ("Reverb", "Gain", "Invert"):
        ear.send("/lasso/chain/add", name)
    ear.send("/lasso/chain/remove", 2)
    ear.send("/lasso/sync", 1)
    assert ear.wait("/lasso/synced", LOAD_LIMIT_S) == (1,)
    done = [message.args for message in ear.heard if message.address == "/lasso/done"]
    assert [args[1:] for args in done] == [(1, "Reverb"), (2, "Gain"), (3, "Invert"), (2,)]
    assert [link.name for link in server.server.state.chain.links] == ["Reverb", "Invert"]


def test_one_client_cannot_fill_the_background(
    server: Running, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaining, "_link", lambda name: (time.sleep(0.3), Link("effect", "Gain"))[1])
    ear.send("/lasso/chain/add", "Gain")
    for number in range(MAX_IN_BACKGROUND - 1):
        ear.send("/lasso/sync", number)
    assert ear.refusal("/lasso/sync", 0) == "busy"
    assert ear.wait("/lasso/done", LOAD_LIMIT_S) == ("/lasso/chain/add", 1, "Gain")
    while ear.wait("/lasso/synced", LOAD_LIMIT_S) != (MAX_IN_BACKGROUND - 2,):
        pass
    assert ear.ask("/lasso/sync", 7, answer="/lasso/synced") == (7,)


def test_a_fault_in_the_background_is_answered(
    server: Running, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(name: str) -> Link:
        raise RuntimeError(name)

    monkeypatch.setattr(chaining, "_link", fault)
    assert ear.refusal("/lasso/chain/add", "Gain") == "internal"
    ear.drain()
    server.ask(gc.collect)
    assert "never retrieved" in str(server.faults.pop())


def test_a_parameter_has_three_views(ear: Ear) -> None:
    add(ear, "Gain", "LadderFilter", "BrickwallLimiter")
    gain = "/lasso/chain/1/param/gain_db"
    assert ear.ask(f"{gain}/norm", 0.5, answer="/lasso/done") == (f"{gain}/norm", 0.5)
    assert ear.ask(gain) == (-18.0,)
    assert ear.ask(f"{gain}/str") == ("-18.00 dB",)
    assert ear.ask(gain, 1000, answer="/lasso/done") == (gain, 24.0)
    assert ear.refusal(gain, float("nan")) == "out_of_range"
    mode = "/lasso/chain/2/param/mode"
    assert ear.ask(mode) == ("LPF12",)
    assert ear.ask(mode, "hpf24", answer="/lasso/done") == (mode, "HPF24")
    assert ear.refusal(mode, "HPF13") == "out_of_range"
    switch = "/lasso/chain/3/param/true_peak"
    assert ear.ask(switch) == (0,)
    assert ear.ask(switch, 1, answer="/lasso/done") == (switch, 1)


def test_patterns_subscriptions_and_refresh_know_a_chain(server: Running, ear: Ear) -> None:
    add(ear, "Gain", "Compressor")
    with Ear(server.port) as other:
        other.ask("/lasso/listen", "/lasso/chain/2/param/ratio", answer="/lasso/done")
        assert other.wait("/lasso/chain/2/param/ratio") == (1.0,)
        ear.ask("/lasso/chain/*/param/r*", 4, answer="/lasso/done")
        assert other.wait("/lasso/chain/2/param/ratio") == (4.0,)
    ear.send("/lasso/refresh")
    assert ear.wait("/lasso/chain/1/param/gain_db") == (1.0,)


def test_who_listens_is_told_of_a_chain_that_changes(server: Running, ear: Ear) -> None:
    with Ear(server.port) as other:
        other.ask("/lasso/notify", 1, 0, 1, answer="/lasso/done")
        add(ear, "Gain")
        assert other.wait("/lasso/chain/count") == (1,)
        assert other.wait("/lasso/chain/1/param/gain_db") == (1.0,)
        add(ear, "Gain")
        ear.ask("/lasso/chain/2/param/gain_db", -7, answer="/lasso/done")
        other.wait("/lasso/chain/2/param/gain_db")
        other.silence()
        ear.ask("/lasso/chain/remove", 1, answer="/lasso/done")
        assert other.wait("/lasso/chain/count") == (1,)
        assert other.wait("/lasso/chain/1/param/gain_db") == (-7.0,)
    assert ear.ask("/lasso/chain/count") == (1,)


def test_what_cannot_be_added_is_refused(server: Running, ear: Ear) -> None:
    assert ear.refusal("/lasso/chain/add", "Reverbb") == "not_found"
    assert ear.refusal("/lasso/chain/add", "PitchShift") == "not_found"  # falls silent in a stream
    assert ear.refusal("/lasso/chain/add", "Convolution") == "bad_args"
    assert ear.refusal("/lasso/chain/add", "/usr/lib/vst3/ZamComp.vst3") == "not_found"
    ear.ask("/lasso/chain/add", "gAIN", answer="/lasso/done")
    add(ear, *["Gain"] * (MAX_EFFECTS - 1))
    assert ear.refusal("/lasso/chain/add", "Gain") == "queue_full"


def test_oscquery_tells_what_comes_and_goes(server: Running, ear: Ear) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/", open_timeout=LOAD_LIMIT_S) as web:
        add(ear, "Gain")
        told = json.loads(web.recv(timeout=LOAD_LIMIT_S))
        assert told == {"COMMAND": "PATH_ADDED", "DATA": "/lasso/chain/1"}
        node = server.ask(lambda: tree(server.server))["CONTENTS"]["lasso"]["CONTENTS"]["chain"]
        found = node["CONTENTS"]["1"]["CONTENTS"]["param"]["CONTENTS"]["gain_db"]
        assert (found["VALUE"], found["UNIT"], found["RANGE"]) == ([1.0], ["dB"], [{"MIN": -60, "MAX": 24}])
        ear.ask("/lasso/chain/remove", 1, answer="/lasso/done")
        assert json.loads(web.recv(timeout=LOAD_LIMIT_S))["COMMAND"] == "PATH_REMOVED"


# What a chain remembers


def test_another_effect_leaves_what_was_moved() -> None:
    chain = Chain((GAIN,)).with_value("1.gain_db", -3.0).with_effect(REVERB)
    assert (chain.get("1.gain_db"), chain.get("2.room_size")) == (-3.0, 0.9)


def test_a_switch_is_a_number_for_clients_and_true_or_false_for_pedalboard() -> None:
    chain = Chain((Link("effect", "BrickwallLimiter", {"true_peak": True}),))
    assert type(chain.get("1.true_peak")) is int
    assert chain.with_value("1.true_peak", 0).setting("1.true_peak") is False
    assert chain.with_value("1.true_peak", 0).settled()[0].parameters == {"true_peak": False}


def test_a_convolution_of_a_preset_is_all_wet_unless_it_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "room.wav", np.ones(8), RATE_HZ)
    link = Link("effect", "Convolution", {"impulse_response_filename": str(tmp_path / "room.wav")})
    assert Chain((link,)).get("1.mix") == 1.0
    assert [name for _, _, name, _ in Chain((link,)).controls()] == ["mix"]


# Presets


def test_a_presets_chain_comes_and_goes_whole() -> None:
    plugin = Link("plugin", "ZamComp")
    preset = Preset(stems=(Stem(name="d", queries=("drums",)),), mix=Mix(chain=(REVERB, plugin, GAIN)))
    state = State()
    assert apply_preset(preset, state, "lariat") == ["the mix's ZamComp"]
    assert state.chain == Chain((REVERB, GAIN))
    state.set("2.gain_db", None, -20.0)
    state.set("1.freeze_mode", None, 1.0)
    saved = as_preset("mine", state, "lariat").mix.chain
    assert [dict(link.parameters) for link in saved] == [
        {"room_size": 0.9, "freeze_mode": 1.0},
        {"gain_db": -20.0},
    ]


# Sound


def heard(state: State, lariat: Separator, rate_hz: int = RATE_HZ) -> Heard:
    made = Heard(lariat, controls(state), rate_hz, lambda block: None)
    made.board.prepare(rate_hz, 2, BLOCK)
    return made


def played(made: Heard, audio: Audio) -> Audio:
    return np.concatenate(
        [made.board.block(audio[:, i : i + BLOCK]) for i in range(0, audio.shape[1], BLOCK)], axis=1
    )


def with_chain(*links: Link) -> State:
    state = State(slots={1: Slot("drums")}, chain=Chain(links))
    state.settings.gate = 0
    return state


def mixed(lariat: Separator, audio: Audio) -> Audio:
    """Mix the same without a chain."""
    mixer = LiveMixer(lariat, RATE_HZ, 2, [Voice(1, "drums", 1.0)], gate=False)
    return np.concatenate(
        [mixer.process(audio[:, i : i + BLOCK]) for i in range(0, audio.shape[1], BLOCK)], 1
    )


def test_the_mix_goes_through_the_chain(lariat: Separator, noise: Audio) -> None:
    made = played(heard(with_chain(REVERB, GAIN), lariat), noise)
    board = Pedalboard([pedalboard.Reverb(0.9), pedalboard.Gain(-6)])
    late = LiveMixer(lariat, RATE_HZ, 2, [Voice(1, "drums", 1.0)]).latency_samples
    mix = mixed(lariat, noise)[:, late:]  # the chain begins when the first sample of the mix is there
    wanted = np.concatenate(
        [board(mix[:, i : i + BLOCK], RATE_HZ, BLOCK, False) for i in range(0, mix.shape[1], BLOCK)], 1
    )
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(made[:, late:], wanted, atol=TOLERANCE)


def test_a_chain_is_moved_and_edited_while_it_plays(lariat: Separator, noise: Audio) -> None:
    state = with_chain(REVERB, GAIN)
    made = heard(state, lariat)
    played(made, noise)
    reverb, gain = made.board[1], made.board[2]
    state.set("2.gain_db", None, -20.0)
    made.control(controls(state))
    assert isinstance(gain, pedalboard.Gain) and gain.gain_db == -20.0
    state.chain = state.chain.with_effect(Link("effect", "Invert"))
    state.chain = state.chain.without(2)
    made.control(controls(state))
    assert made.board[1] is reverb  # its echoes ring on
    assert isinstance(made.board[2], pedalboard.Invert) and len(made.board) == 4
    state.chain = Chain()
    made.control(controls(state))
    assert len(made.board) == 2
    played(made, noise)  # what was inside comes out first
    np.testing.assert_allclose(
        played(made, noise)[:, -RATE_HZ // 2 :],
        mixed(lariat, np.tile(noise, 3))[:, -RATE_HZ // 2 :],
        atol=TOLERANCE,
    )


def test_an_effect_that_moves_up_rings_on(lariat: Separator) -> None:
    state = with_chain(GAIN, REVERB)
    made = heard(state, lariat)
    reverb = made.board[2]
    state.chain = state.chain.without(1)
    made.control(controls(state))
    assert made.board[1] is reverb


def test_a_new_effect_is_moved_as_the_one_before_it_was(lariat: Separator) -> None:
    state = with_chain(GAIN)
    made = heard(state, lariat)
    for link in (GAIN, Link("effect", "Gain", {"gain_db": 3.0})):
        state.chain = Chain((link,), {"1.gain_db": -20.0})
        made.control(controls(state))
        gain: Any = made.board[1]
        assert gain.gain_db == -20.0


def test_what_was_moved_goes_back_when_its_chain_is_loaded_again(lariat: Separator) -> None:
    state = with_chain(REVERB)
    made = heard(state, lariat)
    reverb: Any = made.board[1]
    state.set("1.room_size", None, 0.2)
    made.control(controls(state))
    assert reverb.room_size == pytest.approx(0.2)
    state.chain = Chain((REVERB,))
    made.control(controls(state))
    assert made.board[1] is reverb
    assert reverb.room_size == pytest.approx(0.9)


def test_of_two_effects_alike_the_one_that_is_left_plays_as_it_was(lariat: Separator) -> None:
    state = with_chain(Link("effect", "Gain"), Link("effect", "Gain"))
    made = heard(state, lariat)
    state.set("1.gain_db", None, 12.0)
    made.control(controls(state))
    state.chain = state.chain.without(1)
    made.control(controls(state))
    gain: Any = made.board[1]
    assert gain.gain_db == state.chain.get("1.gain_db") == 1.0


@pytest.mark.parametrize("name", ["HighpassFilter", "LowpassFilter"])
@pytest.mark.parametrize("rate_hz", [22050, 32000, 44100])
def test_the_highest_cut_off_is_heard_at_every_rate(
    lariat: Separator, noise: Audio, name: str, rate_hz: int
) -> None:
    state = with_chain(Link("effect", name, {"cutoff_frequency_hz": 20000.0}))
    state.settings.mix = 0.0
    made = heard(state, lariat, rate_hz)
    assert np.abs(played(made, noise)).max() < 1.0
    state.set("1.cutoff_frequency_hz", None, 100.0)
    made.control(controls(state))
    state.set("1.cutoff_frequency_hz", None, 20000.0)
    made.control(controls(state))
    assert np.abs(played(made, noise)).max() < 1.0
    effect: Any = made.board[1]
    assert effect.cutoff_frequency_hz == pytest.approx(min(20000, 0.49 * rate_hz))


def test_a_new_query_is_embedded_before_the_audio_waits(
    lariat: Separator, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = with_chain()
    made = heard(state, lariat)
    held: list[bool] = []
    embed = Separator.embed

    def noted(separator: Separator, texts: Any) -> Any:
        held.append(made._slots._lock.locked())
        return embed(separator, texts)

    monkeypatch.setattr(Separator, "embed", noted)
    state.slots[1].query = "a very rare instrument"
    made.control(controls(state))
    assert held[0] is False


def test_a_refused_query_leaves_the_chain_as_it_was(lariat: Separator) -> None:
    state = with_chain(GAIN)
    made = heard(state, lariat)
    state.slots[1].query = "  "
    state.chain = Chain()
    with pytest.raises(ValueError, match="empty"):
        made.control(controls(state))
    assert len(made.board) == 3


def test_a_running_stream_is_heard_through_the_chain(tmp_path: Path, noise: Audio) -> None:
    soundfile.write(tmp_path / "loop.wav", noise.T, RATE_HZ, subtype="FLOAT")
    record = tmp_path / "heard.wav"
    with (
        running(root=tmp_path, live=str(tmp_path / "loop.wav"), live_record=record) as made,
        Ear(made.port) as ear,
    ):
        ear.ask("/lasso/query", "a violin", answer="/lasso/done")
        ear.ask("/lasso/mix", 0, answer="/lasso/done")  # the input is heard, through the chain
        ear.ask("/lasso/notify", 1, 0, 9, answer="/lasso/done")
        ear.ask("/lasso/stream/start", answer="/lasso/done")
        state, latency_s, _ = ear.wait("/lasso/stream/state", 120)
        assert state == "playing"
        for _ in range(4):  # a tenth of a second each: the latency of the stream passes in silence
            ear.wait("/lasso/meter/slot/1", LOAD_LIMIT_S)
        add(ear, "BrickwallLimiter")  # 5 ms late
        told_s = ear.wait("/lasso/stream/state", LOAD_LIMIT_S)[1]
        assert told_s == pytest.approx(latency_s + 0.005, abs=0.001)
        add(ear, "Gain")
        ear.ask("/lasso/chain/2/param/gain_db", -60, answer="/lasso/done")
        end_s = time.monotonic() + 1.0
        while time.monotonic() < end_s:
            ear.listen(0.1)
        ear.ask("/lasso/stream/stop", answer="/lasso/done")
        while ear.wait("/lasso/stream/state", LOAD_LIMIT_S)[0] != "stopped":
            pass
    recorded, _ = soundfile.read(record, always_2d=True)
    level = np.sqrt(np.mean(recorded[-RATE_HZ // 4 :] ** 2))
    assert level == pytest.approx(0.1 * 10 ** (-60 / 20), rel=0.1)
    assert np.abs(recorded).max() == pytest.approx(np.abs(noise).max(), rel=0.1)  # before there was a chain
