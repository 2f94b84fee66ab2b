"""The list of a board, still and while it plays; TOLERANCE 0."""

import threading
import time
from typing import Any

import numpy as np
import pedalboard
import pytest
from pedalboard_native._internal import AddLatency

from soundlasso.bridge.board import Board
from soundlasso.bridge.mix import Mix
from tests.board_helpers import Late, NativeBoard, noise

RATE = 44_100
PATIENCE_S = 30.0  # for both to happen on a busy machine


def items(count: int) -> list[pedalboard.Plugin]:
    return [pedalboard.Gain(i) for i in range(count)]


EDITS = {
    "append": lambda board, new: board.append(new),
    "insert": lambda board, new: board.insert(1, new),
    "insert from the end": lambda board, new: board.insert(-1, new),
    "insert at the end": lambda board, new: board.insert(4, new),
    "set": lambda board, new: board.__setitem__(2, new),
    "set from the end": lambda board, new: board.__setitem__(-1, new),
    "delete": lambda board, new: board.__delitem__(0),
    "delete from the end": lambda board, new: board.__delitem__(-2),
    "set a slice": lambda board, new: board.__setitem__(slice(1, 3), [new]),
    "delete a slice": lambda board, new: board.__delitem__(slice(None, None, 2)),
    "pop": lambda board, new: board.pop(),
    "pop the first": lambda board, new: board.pop(0),
    "extend": lambda board, new: board.extend([new, None]),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("kind", [Board, Mix])
def test_edits_are_those_of_a_list(kind: type, edit: Any) -> None:
    plugins, new = items(4), pedalboard.Invert()
    board, like = kind(plugins), list(plugins)
    assert edit(board, new) is edit(like, new)
    assert list(board) == like and len(board) == len(like)


def test_reading_is_that_of_a_list() -> None:
    plugins = items(4)
    board = Board(plugins)
    assert board[0] is plugins[0] and board[-1] is plugins[-1]
    assert list(board[1:3]) == plugins[1:3] and isinstance(board[1:3], Board)
    assert list(reversed(board)) == plugins[::-1]
    assert board.index(plugins[2]) == 2
    assert plugins[1] in board and pedalboard.Gain(1) not in board


@pytest.mark.parametrize("foreign", [1, "Gain", None, object()])
def test_a_foreign_object_is_simply_not_in_a_board(foreign: object) -> None:
    assert foreign not in Board(items(2))


def test_wrong_positions_are_errors_as_in_pedalboard() -> None:
    board = Board(items(2))
    for wrong in (lambda: board[2], lambda: board.insert(3, None), lambda: board.pop(5), lambda: board[-3]):
        with pytest.raises(IndexError):
            wrong()
    for absent in (lambda: board.remove(pedalboard.Gain()), lambda: board.index(pedalboard.Gain())):
        with pytest.raises(ValueError, match="is not in the board"):
            absent()
    assert len(board) == 2


def test_repr_is_pedalboards() -> None:
    gain = pedalboard.Gain(3)
    assert repr(Board([gain])) == f"<Board with 1 plugin: [{gain!r}]>"
    assert repr(Mix([gain, None])) == f"<Mix with 2 plugins: [{gain!r}, None]>"


@pytest.mark.parametrize("wrong", [1, "Gain", np.zeros(3), pedalboard.Gain])
def test_what_is_no_effect_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="is no effect; give a pedalboard plugin, an Effect, a board or None"):
        Board([wrong])


def twice(place: str) -> Board:
    gain = pedalboard.Gain()
    inner = {
        "in the list": gain,
        "in a board": Board([gain]),
        "in a native board": NativeBoard([gain]),
        "in a mix in a board": Board([Mix([gain])]),
    }[place]
    return Board([gain, inner])


@pytest.mark.parametrize("place", ["in the list", "in a board", "in a native board", "in a mix in a board"])
def test_the_same_effect_twice_is_refused(place: str) -> None:
    with pytest.raises(RuntimeError, match="is in the board twice"):
        twice(place)


def test_a_board_inside_itself_is_refused_and_nothing_changes() -> None:
    inner, board = Board(), Board()
    board.append(inner)
    for edit in (lambda: board.append(board), lambda: inner.append(board)):
        with pytest.raises(RuntimeError, match=r"itself|twice"):
            edit()
    assert list(board) == [inner] and len(inner) == 0


def test_an_effect_that_came_twice_by_way_of_a_board_inside_is_found_when_it_plays() -> None:
    gain, inner = pedalboard.Gain(), Board()
    board = Board([gain, inner])
    inner.append(gain)
    for reset in (True, False):
        with pytest.raises(RuntimeError, match="is in the board twice"):
            board.process(noise(2, 9), RATE, reset=reset)


def play(board: Board, audio: np.ndarray, edits: dict[int, Any], length: int = 500) -> np.ndarray:
    """Stream in blocks, with edits before some of them."""
    board.reset()
    parts = []
    for number, at in enumerate(range(0, audio.shape[1], length)):
        edits.get(number, lambda: None)()
        parts.append(board.process(audio[:, at : at + length], RATE, reset=False))
    return np.concatenate([*parts, board.flush()], axis=1)


def test_a_plugin_put_in_or_taken_out_while_it_plays_leaves_the_others_their_state() -> None:
    audio = noise(2, 3000)
    board = Board([pedalboard.Delay(0.005), pedalboard.Invert()])
    got = play(board, audio, {2: lambda: board.insert(1, pedalboard.Invert()), 4: lambda: board.pop(1)})
    expected = NativeBoard([pedalboard.Delay(0.005), pedalboard.Invert()])(audio, RATE)
    expected[:, 1000:2000] *= -1
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("late", [lambda: Late(700), lambda: AddLatency(700), pedalboard.Resample])
def test_no_sample_is_lost_when_a_late_effect_comes_and_goes(late: Any) -> None:
    """Its last samples come out through what follows, in place."""
    effect, audio = late(), np.repeat(np.linspace(0, 0.5, 5000, dtype=np.float32)[None], 2, axis=0)
    board = Board([pedalboard.Gain(0), pedalboard.Invert()])
    got = play(board, audio, {3: lambda: board.insert(1, effect), 6: lambda: board.remove(effect)})
    assert got.shape == audio.shape
    tolerance = 0.2 if isinstance(effect, pedalboard.Resample) else 0  # low-pass: it changes a step
    np.testing.assert_allclose(got, -audio, 0, tolerance)
    assert board.latency_samples == 0


def test_an_edit_that_is_refused_leaves_the_stream_running() -> None:
    audio = noise(2, 2000)
    board = Board([pedalboard.Delay(0.005)])

    def refused() -> None:
        with pytest.raises(RuntimeError, match="PitchShift cannot stream"):
            board.append(pedalboard.PitchShift())

    got = play(board, audio, {2: refused})
    np.testing.assert_array_equal(got, NativeBoard([pedalboard.Delay(0.005)])(audio, RATE))


def test_a_board_inside_can_be_edited_while_all_plays() -> None:
    audio, inner = noise(2, 2000), Board()
    board = Board([inner, pedalboard.Delay(0.005)])
    got = play(board, audio, {2: lambda: inner.append(Late(99)), 3: lambda: inner.pop()})
    np.testing.assert_array_equal(got, NativeBoard([pedalboard.Delay(0.005)])(audio, RATE))


def test_edits_from_another_thread_come_at_block_edges() -> None:
    """An inverter comes and goes all the time: every block is whole, plain or inverted."""
    audio, enough = noise(2, 512), threading.Event()
    board = Board([pedalboard.Gain(0), Late(0)])

    def edit() -> None:
        while not enough.is_set():
            board.insert(1, pedalboard.Invert())
            enough.wait(0.001)
            del board[1]
            enough.wait(0.001)

    editor = threading.Thread(target=edit)
    editor.start()
    heard = {True: 0, False: 0}
    deadline = time.monotonic() + PATIENCE_S
    while min(heard.values()) < 50 and time.monotonic() < deadline:
        got = board.process(audio, RATE, reset=False)
        plain, inverted = np.array_equal(got, audio), np.array_equal(got, -audio)
        assert plain != inverted
        heard[plain] += 1
    enough.set()
    editor.join()
    assert min(heard.values()) >= 50


def test_the_latency_told_is_that_of_what_plays() -> None:
    inner = Board()
    board = Board([inner, Late(5)])
    board.process(noise(2, 500), RATE, reset=False)
    inner.append(Late(99))
    board.process(noise(2, 500), RATE, reset=False)
    assert board.latency_samples == 104
    board.append(Late(10))
    del board[0]
    board.process(noise(2, 500), RATE, reset=False)
    assert board.latency_samples == 15
