"""Address patterns match what the OSC standard says, in linear time.

The reference is a regular expression. Purpose-made patterns, on which it takes exponential time, are timed.
"""

import random
import re
import time

import pytest

from soundlasso.bridge.osc.address import PartPattern, is_pattern
from soundlasso.bridge.osc.errors import OscError

HOSTILE_LIMIT_S = 0.05


def reference(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression."""
    out = re.sub(r"[.+^$()|\\]", r"\\\g<0>", pattern)
    out = out.replace("[!", "[^").replace("?", ".").replace("*", ".*")
    return re.compile(re.sub(r"\{([^}]*)\}", lambda m: f"(?:{m[1].replace(',', '|')})", out))


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("gain", "gain", True),
        ("gain", "gains", False),
        ("g?in", "gain", True),
        ("*", "", True),
        ("*", "anything", True),
        ("g*n", "gn", True),
        ("*i*", "mix", True),
        ("[a-g]ain", "gain", True),
        ("[!a-g]ain", "gain", False),
        ("[a-]x", "-x", True),
        ("[a-a]x", "ax", True),  # a range of one
        ("[]", "", False),
        ("{gain,mute}", "mute", True),
        ("{mute,gain}*", "gain_db", True),
        ("{,s}low", "low", True),
        ("{1,2,10}", "10", True),
        ("{1,10}0", "10", True),
        ("", "", True),
        ("", "a", False),
        ("é?", "éé", True),
    ],
)
def test_patterns_of_the_standard(pattern: str, text: str, expected: bool) -> None:
    assert PartPattern(pattern).matches(text) is expected


@pytest.mark.parametrize("seed", range(3))
def test_random_patterns_match_as_a_regular_expression_does(seed: int) -> None:
    rng = random.Random(seed)
    pieces = ["a", "b", "ab", "?", "*", "[ab]", "[!a]", "[a-c]", "{a,bb}", "{ab,,c}", "."]
    hits = 0
    for _ in range(3000):
        pattern = "".join(rng.choices(pieces, k=rng.randrange(6)))
        text = "".join(rng.choices("abc.", k=rng.randrange(7)))
        expected = reference(pattern).fullmatch(text) is not None
        assert PartPattern(pattern).matches(text) is expected, (pattern, text)
        hits += expected
    assert hits > 100


@pytest.mark.parametrize(
    "pattern",
    [
        "*a" * 14 + "!",
        "*a" * 63 + "!",
        "{a,}" * 32,
        "*?" * 60,
        "[\x01-\U0010ffff]" * 20,
        "{" + "a," * 60 + "}",
    ],
)
def test_a_hostile_pattern_costs_nothing(pattern: str) -> None:
    start = time.perf_counter()
    for _ in range(100):
        PartPattern(pattern).matches("a" * 28)
    assert time.perf_counter() - start < 100 * HOSTILE_LIMIT_S


@pytest.mark.parametrize("pattern", ["[z-a]", "{a,b", "[ab", "a}", "]"])
def test_a_broken_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(OscError, match="pattern") as refusal:
        PartPattern(pattern)
    assert refusal.value.code == "malformed"


def test_a_long_pattern_is_refused() -> None:
    with pytest.raises(OscError) as refusal:
        PartPattern("*" * 129)
    assert refusal.value.code == "too_large"


@pytest.mark.parametrize(
    ("address", "expected"), [("/lasso/mix", False), ("/lasso/*", True), ("//mix", True)]
)
def test_patterns_are_told_from_addresses(address: str, expected: bool) -> None:
    assert is_pattern(address) is expected
