"""Tests of the test lists and what is measured on them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from soundlasso.dsp.metrics import si_sdr_improvement
from soundlasso.models.separator import Separator, shipped_weights
from soundlasso.models.text import MiniLM
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.evaluate import Listener, Row, answer, by_class, ideal, table, write_rows
from soundlasso.models.training.lists import LENGTH, TestMixture, test_lists
from soundlasso.models.training.pack import curve, hours
from soundlasso.models.training.vocabulary import NUMBER, SPEECH, alike, captions, paraphrases
from tests.training_material import make_cache

CEILING_DB = 20.0  # two tones an octave and more apart


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return Bank(make_cache(tmp_path_factory.mktemp("training"), ("test",)), "test")


@pytest.fixture(scope="module")
def mixtures(bank: Bank) -> list[TestMixture]:
    return list(test_lists(bank, 2))


def test_the_lists_are_frozen_whatever_their_number(bank: Bank, mixtures: list[TestMixture]):
    fewer = {m.kind: m for m in test_lists(bank, 1)}
    for kind, mixture in fewer.items():
        again = next(m for m in mixtures if m.kind == kind)
        np.testing.assert_array_equal(again.stems, mixture.stems)
        assert again.questions == mixture.questions


def test_the_lists_stay_what_they_are_however_training_draws(mixtures: list[TestMixture]):
    asked = [(m.kind, q.sound, q.text, sorted(q.meant)) for m in mixtures for q in m.questions]
    assert hashlib.sha256(repr(asked).encode()).hexdigest()[:16] == "dee77fdb4205d336"


def test_every_list_is_there_and_asks_for_present_and_absent_sounds(mixtures: list[TestMixture]):
    assert sorted({m.kind for m in mixtures}) == ["a", "b", "c", "d", "e"]
    for mixture in mixtures:
        assert mixture.stems.shape[1] == LENGTH
        assert any(q.meant for q in mixture.questions) and sum(not q.meant for q in mixture.questions) == 2


def test_speech_lists_hold_speech_and_music_is_asked_as_a_whole(mixtures: list[TestMixture]):
    for mixture in mixtures:
        if mixture.kind == "c":
            speech, music = (q for q in mixture.questions if q.meant)
            assert speech.sound in SPEECH and music.sound == "music"
            assert len(music.meant) == len(mixture.stems) - 1


def test_absent_sounds_are_unlike_and_paraphrases_are_kept_ones(mixtures: list[TestMixture]):
    for mixture in mixtures:
        heard = [q.sound for q in mixture.questions if q.meant]
        for question in mixture.questions:
            if question.meant:
                assert question.paraphrase in ("", *paraphrases(question.sound))
            else:
                assert question.text in captions(question.sound)
                if "music" not in heard:
                    assert not any(alike()[NUMBER[question.sound], NUMBER[s]] for s in heard)


def test_the_ideal_gain_parts_two_tones():
    time = np.arange(44100) / 44100
    stems = np.stack([np.sin(2 * np.pi * f * time) for f in (220.0, 1760.0)]).astype(np.float32)
    gained = si_sdr_improvement(stems[0], ideal(stems, [0]), stems.sum(0))
    assert gained > CEILING_DB
    np.testing.assert_allclose(ideal(stems, [0, 1]), stems.sum(0), atol=1e-4)


def test_a_listener_gives_what_a_user_gets(mixtures: list[TestMixture], lariat: Separator):
    from soundlasso.models.offline import separate

    mixture = mixtures[0].stems.sum(0)[:44100]
    texts = ["a piano", "speech"]
    stems, surety = Listener(shipped_weights("lariat"), MiniLM()).separate(mixture, texts, gate=True)
    wanted = separate(mixture[None], 44100, texts, model="lariat")[:, 0]
    np.testing.assert_allclose(stems, wanted, atol=1e-6)
    assert stems.shape == (2, 44100) and ((0 <= surety) & (surety <= 1)).all()


def test_answers_hold_a_row_a_question(mixtures: list[TestMixture], lariat: Separator, tmp_path: Path):
    rows = answer(Listener(shipped_weights("lariat"), MiniLM()), mixtures[0])
    assert [row.present for row in rows] == [bool(q.meant) for q in mixtures[0].questions]
    for row in rows:
        assert np.isnan(row.improvement_db) == (not row.present)
        assert row.level_db < 3 and row.gated_db <= row.level_db + 0.1
    write_rows(tmp_path / "rows.csv", rows)
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == len(rows) + 1


def _row(kind: str, sound: str, gained: float, surety: float, present: bool = True) -> Row:
    return Row(
        kind,
        sound,
        present,
        gained if present else float("nan"),
        gained - 1,
        -3.0,
        -70.0 if not present else -3.0,
        15.0,
        surety,
    )


def test_tables_say_what_the_rows_say():
    rows = [_row("a", "piano", 6.0, 0.9), _row("a", "violin", -2.0, 0.8), _row("c", "speech", 8.0, 0.7)]
    rows += [_row("a", "dog", 0.0, 0.1, present=False), _row("c", "rain", 0.0, 0.2, present=False)]
    text = table(rows)
    assert "| a | 2 | 2.00 | 2.00 | 50% | 0 | 15.0 |" in text
    assert "| a-e | 3 | 4.00 | 6.00 | 67% | 0 | 15.0 |" in text
    assert "3 targets 4.00 dB in trained words, 3.00 dB in words never trained on" in text
    assert "0.0% of present sounds gated away" in text
    assert "100% at -50 dB or less" in text
    assert by_class(rows, at_least=1).splitlines()[0] == "violin: -2.0 dB (1)"


def test_cards_count_hours_and_thin_out_the_curve(bank: Bank, tmp_path: Path):
    counted = hours(bank)
    seconds = sum(take.clip.length for take in bank.takes) / 44100
    assert abs(sum(counted.values()) * 3600 - seconds) < 1e-3
    names = "step,minutes,valid_loss,valid_gain_db,valid_si_db,seen_gain_db,valid_leak_db"
    (tmp_path / "curve.csv").write_text("\n".join([names, *(f"{i},{i},1,2,3,4,5" for i in range(100))]))
    lines = curve(tmp_path).splitlines()
    assert lines[2].startswith("| 0 |") and lines[-1].startswith("| 99 |") and len(lines) < 18
