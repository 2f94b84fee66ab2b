import numpy as np
import pytest

from soundlasso.dsp.gate import GateSettings, PresenceGate

FRAME_RATE = 43.0


def gains_for(presence: list[float], gate: PresenceGate | None = None, at_once: int = 1000) -> np.ndarray:
    gate = gate or PresenceGate(1, FRAME_RATE, GateSettings(smooth_s=0))
    evidence = np.array([presence])
    parts = [
        gate.process(evidence[:, t : t + at_once], np.ones_like(evidence[:, t : t + at_once]))[0]
        for t in range(0, evidence.shape[1], at_once)
    ]
    return np.concatenate(parts, axis=1)[0]


def test_a_present_sound_passes_and_an_absent_one_does_not() -> None:
    assert gains_for([0.9] * 20)[-1] == 1
    assert not gains_for([0.1] * 20).any()


def test_between_the_thresholds_it_stays_as_it_is() -> None:
    middle = 0.42
    assert not gains_for([middle] * 50).any()
    assert gains_for([0.9] * 10 + [middle] * 200)[-1] == 1


def test_presence_is_told_frame_by_frame() -> None:
    gate = PresenceGate(1, FRAME_RATE)
    _, presence = gate.process(np.array([[0.0] * 20 + [0.8] * 60]), np.ones((1, 80)))
    assert not presence[0, :20].any() and presence[0, -1] == pytest.approx(0.8, abs=1e-5)
    assert np.all(np.diff(presence[0, 20:]) > 0)
    np.testing.assert_array_equal(gate.take_history(), presence)
    np.testing.assert_array_equal(gate.presence, presence[:, -1])


def test_it_holds_and_then_closes() -> None:
    hold = round(GateSettings().hold_s * FRAME_RATE)
    gains = gains_for([0.9] * 10 + [0.0] * 60)
    assert np.all(gains[10 : 10 + hold] == 1)
    assert gains[-1] == 0


def test_gains_move_without_a_jump() -> None:
    steps = np.diff(gains_for([0.0] * 10 + [0.9] * 30 + [0.0] * 60))
    assert steps.max() <= 1 / (GateSettings().attack_s * FRAME_RATE) + 1e-12
    assert -steps.min() <= 1 / (GateSettings().release_s * FRAME_RATE) + 1e-12
    assert steps.max() > 0 > steps.min()


@pytest.mark.parametrize("at_once", [1, 3, 50])
def test_any_chunking_equals_the_whole(at_once: int) -> None:
    presence = list(np.random.default_rng(0).random(200))
    whole = gains_for(presence, PresenceGate(1, FRAME_RATE))
    chunked = gains_for(presence, PresenceGate(1, FRAME_RATE), at_once)
    np.testing.assert_allclose(chunked, whole, atol=1e-12)
    assert 0 < whole.mean() < 1


def test_queries_do_not_disturb_each_other_when_their_number_changes() -> None:
    gate = PresenceGate(2, FRAME_RATE)
    heard = np.ones((2, 40))
    gate.process(np.array([[0.9], [0.1]]) * heard, heard)
    gate.resize(3)
    assert gate.presence[0] > 0.8 and gate.presence[2] == 0
    gate.resize(1)
    assert gate.process(np.full((1, 1), 0.9), np.ones((1, 1)))[0][0, 0] == 1


def test_what_was_found_stays_while_the_number_of_queries_does() -> None:
    gate = PresenceGate(2, FRAME_RATE)
    gate.process(np.ones((2, 7)), np.ones((2, 7)))
    gate.resize(2)
    assert gate.take_history().shape == (2, 7)
    gate.process(np.ones((2, 7)), np.ones((2, 7)))
    gate.resize(3)
    assert gate.take_history().shape == (3, 0)


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="close_below <= open_above"):
        GateSettings(open_above=0.2, close_below=0.4)


def test_each_gate_opens_at_its_own_threshold_and_closes_at_half_of_it() -> None:
    gate = PresenceGate(3, FRAME_RATE, GateSettings(smooth_s=0, hold_s=0))
    gate.open_at(np.array([0.2, 0.8, 0.0]))
    presence = np.array([0.1, 0.3, 0.15, 0.05, 0.9, 0.5, 0.3])
    is_open = []
    for now in presence:  # long enough to have moved
        gains = gate.process(np.full((3, 40), now), np.ones((3, 40)))[0][:, -1]
        is_open.append((gains > 0.5).tolist())
    low, high, always = zip(*is_open, strict=True)
    assert low == (False, True, True, False, True, True, True)
    assert high == (False, False, False, False, True, True, False)
    assert all(always)
    gate.resize(4)
    assert gate.process(np.full((4, 40), 0.45), np.ones((4, 40)))[0][:, -1].round().tolist() == [1, 0, 1, 0]
    gate.open_at(None)
    assert gate.process(np.full((4, 40), 0.51), np.ones((4, 40)))[0][:, -1].round().tolist() == [1, 1, 1, 1]
