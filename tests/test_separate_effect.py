"""Separation inside boards, against the stream it is made of.

TOLERANCE: blocks of any length give the same samples within 1e-6 (the stream's own law); where only
the order of sums differs, 1e-6 too; a click is judged above 4 kHz, 60 dB under a pure tone.
"""

from typing import Any

import numpy as np
import pedalboard
import pytest
import scipy.signal

from soundlasso import Separator, separate
from soundlasso.bridge.board import Board
from soundlasso.bridge.separate import Separate
from soundlasso.bridge.stems import Stems
from soundlasso.dsp.errors import QueryError
from tests.board_helpers import CUTS, Audio, noise, stream

TOLERANCE = 1e-6
CLICK_DB = -60.0
RATE = 44_100


@pytest.mark.parametrize("keep", ["stem", "rest"])
def test_separate_is_the_stream_in_place(lariat: Separator, keep: Any) -> None:
    expected = separate(noise(), RATE, "drums", keep=keep, avoid=["a voice"], duck_db=-12, model=lariat)
    effect = Separate("drums", keep=keep, avoid="a voice", duck_db=-12)
    np.testing.assert_allclose(effect(noise(), RATE), expected, 0, TOLERANCE)


@pytest.mark.parametrize("lengths", CUTS.values(), ids=CUTS.keys())
def test_a_board_with_separation_gives_the_same_in_any_cutting(lengths: list[int]) -> None:
    board = Board([pedalboard.HighpassFilter(80), Separate("drums", mix=0.7), pedalboard.Chorus()])
    np.testing.assert_allclose(stream(board, noise(), lengths), board(noise(), RATE), 0, TOLERANCE)


def test_stem_and_rest_make_the_mixture() -> None:
    total = Separate("drums")(noise(), RATE) + Separate("drums", keep="rest")(noise(), RATE)
    np.testing.assert_allclose(total, noise(), 0, TOLERANCE)


def test_all_dry_is_the_input_exactly() -> None:
    np.testing.assert_array_equal(Separate("drums", mix=0)(noise(), RATE), noise())


def test_gain_is_in_decibels() -> None:
    louder = Separate("drums", gain_db=6)(noise(), RATE)
    np.testing.assert_allclose(louder, 10 ** (6 / 20) * Separate("drums")(noise(), RATE), 1e-6, TOLERANCE)


def test_presence_is_readable() -> None:
    effect = Separate("drums", gate=False)
    assert effect.presence == 0.0
    effect.process(noise(2, 20_000), RATE, reset=False)
    assert 0 <= effect.presence <= 1


def click_db(audio: Audio) -> float:
    """Return the peak above 4 kHz, in dB of the peak; the ends are left out."""
    highpass = scipy.signal.butter(8, 4000, "highpass", fs=RATE, output="sos")
    high = scipy.signal.sosfilt(highpass, audio.astype(np.float64))[:, 8000:-8000]
    return 20 * float(np.log10(np.abs(high).max() / np.abs(audio).max()))


def sine(samples: int = 110_000) -> Audio:  # long enough for the presence of an earlier query to fade from it
    wave = 0.5 * np.sin(2 * np.pi * 220 / RATE * np.arange(samples))
    return np.stack([wave, wave]).astype(np.float32)


CHANGES: dict[str, dict[str, Any]] = {
    "query": {"query": "a violin"},
    "keep": {"keep": "rest"},
    "mix": {"mix": 0.0},
    "gain": {"gain_db": -20.0},
    "avoid": {"avoid": ["music", "wind instruments", "a french horn", "an organ", "a flute"]},
    "duck": {"duck_db": -6.0},
    "gate": {"gate": True},
    "threshold": {"gate": True, "gate_threshold": 1.0},
    "all": {"query": "a violin", "keep": "rest", "mix": 0.3, "gain_db": -20.0, "avoid": "a flute"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_setting_that_changes_while_it_plays_takes_effect_without_a_click(change: dict[str, Any]) -> None:
    effect, steady = Separate("a horn", mix=0.8, gate=False), Separate("a horn", mix=0.8, gate=False)
    expected = steady.process(sine(), RATE, reset=False)
    before = effect.process(sine()[:, :20_000], RATE, reset=False)
    effect.change(**change)
    got = np.concatenate([before, effect.process(sine()[:, 20_000:], RATE, reset=False)], axis=1)
    np.testing.assert_allclose(got[:, :10_000], expected[:, :10_000], 0, TOLERANCE)
    changed = Separate("a horn", mix=0.8, gate=False)
    changed.change(**change)
    after = changed.process(sine(), RATE, reset=False)[:, -10_000:]
    np.testing.assert_allclose(got[:, -10_000:], after, 0, TOLERANCE)
    assert np.abs(after - expected[:, -10_000:]).max() > 100 * TOLERANCE
    assert click_db(got) < CLICK_DB
    for name, value in change.items():
        assert getattr(effect, name) in (value, (value,), tuple(value) if isinstance(value, list) else value)


def test_a_hard_switch_of_gain_would_count_as_a_click() -> None:
    audio = sine()
    audio[:, 20_043:] *= 0.1
    assert click_db(audio) > CLICK_DB


def test_settings_are_attributes() -> None:
    effect = Separate("drums")
    effect.query, effect.mix, effect.keep, effect.avoid = " a  voice ", 0.5, "rest", "drums"
    assert (effect.query, effect.mix, effect.keep, effect.avoid) == ("a  voice", 0.5, "rest", ("drums",))


def test_what_is_set_while_a_text_is_read_stays(lariat: Separator, monkeypatch: pytest.MonkeyPatch) -> None:
    effect = Separate("drums", model=lariat)
    effect(noise(), RATE)
    embed, meanwhile = Separator.embed, [-60.0]

    def embed_slowly(model: Separator, texts: Any) -> Any:
        if meanwhile:
            effect.gain_db = meanwhile.pop()
        return embed(model, texts)

    monkeypatch.setattr(Separator, "embed", embed_slowly)
    effect.query = "a voice"
    assert (effect.query, effect.gain_db) == ("a voice", -60.0)


WRONG: dict[str, Any] = {
    "query": "",
    "keep": "stems",
    "mix": 1.5,
    "gain_db": float("nan"),
    "duck_db": 3.0,
    "gate_threshold": 1.1,
    "avoid": ["drums", ""],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_out_of_range_is_refused_and_all_stays(name: str) -> None:
    effect = Separate("drums")
    before = effect.settings
    with pytest.raises((ValueError, QueryError)):
        effect.change(**{"mix": 0.5, name: WRONG[name]})
    assert effect.settings is before
    with pytest.raises((ValueError, QueryError)):
        Separate(**{"query": "drums", name: WRONG[name]})


def test_repr_shows_how_to_make_it() -> None:
    assert repr(Separate("drums")) == "Separate('drums')"
    effect = Separate("drums", keep="rest", avoid="a voice")
    assert repr(effect) == "Separate('drums', keep='rest', avoid=('a voice',))"


def chains() -> dict[str, list[Any]]:
    return {
        "drums": [pedalboard.Invert()],
        "a voice": [Separate("a voice")],
        "rest": [pedalboard.Delay(0.01)],
    }


def test_stems_with_empty_chains_and_the_rest_are_the_mixture() -> None:
    stems = Stems({"drums": [], "a voice": [], "rest": []})
    np.testing.assert_allclose(stems(noise(), RATE), noise(), 0, TOLERANCE)


def test_stems_are_each_sound_through_its_own_chain(lariat: Separator) -> None:
    drums, voice = separate(noise(), RATE, ["drums", "a voice"], consistent=True, model=lariat)
    parts = dict(zip(chains(), [drums, voice, noise() - drums - voice], strict=True))
    expected = sum(Board(chain)(parts[name], RATE) for name, chain in chains().items())
    np.testing.assert_allclose(Stems(chains())(noise(), RATE), expected, 0, TOLERANCE)


@pytest.mark.parametrize("lengths", CUTS.values(), ids=CUTS.keys())
def test_stems_give_the_same_in_any_cutting(lengths: list[int]) -> None:
    board = Board([Stems(chains()), pedalboard.Gain(-3)])
    np.testing.assert_allclose(stream(board, noise(), lengths), board(noise(), RATE), 0, TOLERANCE)


def test_block_of_stems_is_late_by_the_reported_latency() -> None:
    stems = Stems({"drums": [], "rest": []})
    stems.prepare(RATE, 2, 8192)
    late = np.concatenate([stems.block(noise()[:, at : at + 1000]) for at in range(0, 22_000, 1000)], axis=1)
    expected = np.pad(noise()[:, : 22_000 - stems.latency_samples], ((0, 0), (stems.latency_samples, 0)))
    np.testing.assert_allclose(late, expected, 0, TOLERANCE)


def test_a_chain_of_stems_can_be_edited_while_it_plays() -> None:
    stems = Stems({"drums": [], "rest": []})
    first = stems.process(noise()[:, :10_000], RATE, reset=False)
    for name in ("drums", "rest"):
        stems[name].append(pedalboard.Invert())
    rest = [stems.process(noise()[:, 10_000:], RATE, reset=False), stems.flush()]
    edge = first.shape[1]
    expected = np.concatenate([noise()[:, :edge], -noise()[:, edge:]], axis=1)
    np.testing.assert_allclose(np.concatenate([first, *rest], axis=1), expected, 0, TOLERANCE)


def test_a_reset_forgets_what_the_chains_hold() -> None:
    stems = Stems({"drums": [], "rest": [pedalboard.Delay(0.05, feedback=0.9)]})
    stems.prepare(RATE, 2, 8192)
    stems.block(noise()[:, :8192])
    stems.clear()
    assert not stems.block(np.zeros((2, 8192), np.float32)).any()


def test_a_stem_renamed_while_it_plays_cross_fades_to_the_other_sound(lariat: Separator) -> None:
    stems, audio = Stems({"a horn": [pedalboard.Invert()]}, gate=False), sine()
    before = stems.process(audio[:, :20_000], RATE, reset=False)
    stems.rename("a horn", "  a violin ")
    got = np.concatenate([before, stems.process(audio[:, 20_000:], RATE, reset=False), stems.flush()], axis=1)
    old, new = separate(audio, RATE, ["a horn", "a violin"], consistent=False, gate=False, model=lariat)
    np.testing.assert_allclose(got[:, :10_000], -old[:, :10_000], 0, TOLERANCE)
    np.testing.assert_allclose(got[:, 100_000:], -new[:, 100_000:], 0, TOLERANCE)
    assert np.abs(old - new)[:, 100_000:].max() > 100 * TOLERANCE
    assert click_db(got) < CLICK_DB
    assert stems.queries == ("a violin",) and len(stems["a violin"]) == 1


def test_a_stem_is_renamed_to_a_new_sound_only() -> None:
    stems = Stems({"drums": [], "a voice": [], "rest": []})
    for name, query, told in (
        ("drums", "a voice", "'a voice' has a chain already"),
        ("drums", "", "query"),
        ("drums", "rest", "'rest'"),
        ("rest", "bass", "what no sound claims"),
    ):
        with pytest.raises(QueryError, match=told):
            stems.rename(name, query)
    with pytest.raises(KeyError, match="no stem 'bass'"):
        stems.rename("bass", "drums")
    assert stems.queries == ("drums", "a voice")
    with pytest.raises(QueryError, match="'drums' has a chain already; name each sound once"):
        Stems({"drums": [], " drums": [pedalboard.Gain(3)]})


def test_sounds_to_avoid_stay_in_the_rest(lariat: Separator) -> None:
    expected = separate(noise(), RATE, "drums", avoid="a voice", consistent=True, model=lariat)
    stems = Stems({"drums": []}, avoid="a voice")
    np.testing.assert_allclose(stems(noise(), RATE), expected, 0, TOLERANCE)
    stems.avoid = "a flute"
    assert stems.avoid == ("a flute",)
    other = separate(noise(), RATE, "drums", avoid="a flute", consistent=True, model=lariat)
    np.testing.assert_allclose(stems(noise(), RATE), other, 0, TOLERANCE)
    with pytest.raises(QueryError):
        stems.avoid = ["drums", ""]
    assert stems.avoid == ("a flute",)


def test_a_gate_threshold_of_0_lets_all_through_and_of_1_nothing() -> None:
    free = Separate("drums", gate=False)(noise(), RATE)[:, RATE // 2 :]
    opened = Separate("drums", gate_threshold=0)(noise(), RATE)[:, RATE // 2 :]
    np.testing.assert_array_equal(opened, free)
    assert free.any() and not Separate("drums", gate_threshold=1)(noise(), RATE).any()


def test_stems_have_a_threshold_each_that_may_be_set_while_all_plays(lariat: Separator) -> None:
    def stems(threshold: Any) -> Stems:
        return Stems({"drums": [], "a voice": []}, gate_threshold=threshold, model=lariat)

    both = separate(noise(), RATE, ["drums", "a voice"], consistent=True, gate_threshold=[1, 0], model=lariat)
    np.testing.assert_allclose(stems([1, 0])(noise(), RATE), both.sum(axis=0), 0, TOLERANCE)
    playing = stems(1)
    assert not playing.process(noise(), RATE, reset=False).any()
    playing.gate_threshold = 0
    playing.rename("drums", "a horn")
    assert playing.process(noise(), RATE, reset=False)[:, -1000:].any()
    assert playing.gate_threshold == (0, 0)
    with pytest.raises(ValueError, match="one for each of 2 queries"):
        playing.gate_threshold = [0.5]
    with pytest.raises(ValueError, match="from 0 to 1"):
        stems(-0.1)


def test_presence_of_stems_is_by_name() -> None:
    stems = Stems({"drums": [], "a voice": [], "rest": []})
    assert stems.presence == {"drums": 0.0, "a voice": 0.0}
    stems.process(noise(), RATE, reset=False)
    assert all(0 <= value <= 1 for value in stems.presence.values())


def test_stems_without_a_sound_or_with_one_effect_twice_are_refused() -> None:
    with pytest.raises(QueryError, match="name at least one sound beside 'rest'"):
        Stems({"rest": []})
    gain = pedalboard.Gain()
    with pytest.raises(RuntimeError, match="is in the board twice"):
        Stems({"drums": [gain], "rest": [gain]})
    with pytest.raises(RuntimeError, match="is in the board twice"):
        Board([Stems({"drums": [gain]}), gain])
    with pytest.raises(KeyError, match="no stem 'bass'; there are drums"):
        Stems({"drums": []})["bass"]
