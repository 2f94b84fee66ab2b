"""Arguments as clients really send them are understood, and what makes no sense is refused."""

import math
from typing import Any

import pytest

from soundlasso.bridge.osc.arguments import Arg, coerce, is_press
from soundlasso.bridge.osc.errors import OscError

MIX = Arg("mix", "f", 0, 1)
SLOT = Arg("slot", "i", 1, 64)
ID = Arg("id", "i")
SWITCH = Arg("mute", "i", 0, 1)
QUERY = Arg("query", "s", joins=True)
MODE = Arg("mode", "s", choices=("keep", "remove"))
OPTIONAL = Arg("job", "s", optional=True)


@pytest.mark.parametrize(
    ("expected", "given", "values"),
    [
        ([MIX], [1], (1.0,)),
        ([MIX], ["0.25"], (0.25,)),
        ([MIX], [True], (1.0,)),
        ([MIX], [7.5], (1.0,)),  # moved to the end of the range
        ([SLOT], [2.0], (2,)),  # Pure Data has only floats
        ([SLOT, MIX], ["3 0.5"], (3, 0.5)),  # several numbers in one text
        ([SLOT, MIX, SWITCH], ["3 0.5 1"], (3, 0.5, 1)),
        ([ID, ID], [(1 << 31) - 1, -(1 << 31)], ((1 << 31) - 1, -(1 << 31))),
        ([SWITCH], [0.7], (1,)),
        ([SWITCH], [-1], (0,)),
        ([QUERY], ["solo violin"], ("solo violin",)),
        ([QUERY], ["solo", "violin"], ("solo violin",)),  # split at the space
        ([QUERY], ["track", 2.0], ("track 2",)),
        ([QUERY], ["take", 20240115], ("take 20240115",)),
        ([QUERY], ["take", 20240115.0], ("take 20240115",)),
        ([QUERY], [0.10000000149011612, 0.1, 0.123456789012, True], ("0.1 0.1 0.123456789012 1",)),
        ([QUERY], [math.inf, 1e30], ("inf 1000000000000000019884624838656",)),
        ([QUERY], [["solo", ["violin"]]], ("solo violin",)),
        ([MODE], ["Remove"], ("remove",)),
        ([SLOT, QUERY], [1, "dog", "barking"], (1, "dog barking")),
        ([OPTIONAL], [1700000001], ("1700000001",)),
        ([OPTIONAL], [], (None,)),
        ([OPTIONAL], [None], (None,)),
        ([SLOT, Arg("all", "*")], [1, "x", b"y", 2.0], (1, "x", b"y", 2.0)),
    ],
)
def test_arguments_fit(expected: list[Arg], given: list[Any], values: tuple[Any, ...]) -> None:
    result = coerce(expected, given)
    assert result == values
    assert list(map(type, result)) == list(map(type, values))


@pytest.mark.parametrize(
    ("expected", "given", "code"),
    [
        ([MIX], [], "bad_args"),
        ([MIX], ["loud"], "bad_args"),
        ([MIX], [""], "bad_args"),
        ([MIX], [b"\0"], "bad_args"),
        ([MIX], [math.nan], "out_of_range"),
        ([MIX], ["inf"], "out_of_range"),
        ([MIX], [0.5, 0.5], "bad_args"),
        ([SLOT], [0], "out_of_range"),
        ([SLOT], [65], "out_of_range"),
        ([SLOT], [1.5], "bad_args"),
        ([SLOT], [1e300], "out_of_range"),
        ([ID], [1e30], "out_of_range"),
        ([ID], [1 << 31], "out_of_range"),
        ([ID], [-(1 << 31) - 1], "out_of_range"),
        ([QUERY], ["x" * 513], "too_large"),
        ([QUERY], [b"violin"], "bad_args"),
        ([QUERY], [(0, 144, 60, 1)], "bad_args"),
        ([MODE], ["throw"], "out_of_range"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(expected: list[Arg], given: list[Any], code: str) -> None:
    with pytest.raises(OscError) as refusal:
        coerce(expected, given)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("given", "fires"),
    [([], True), ([1], True), ([0.3], True), ([True], True), ([0], False), ([0.0], False), (["1"], True)],
)
def test_a_trigger_fires_on_the_way_down(given: list[Any], fires: bool) -> None:
    assert is_press(given) is fires
