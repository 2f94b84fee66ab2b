"""File names that every system takes, judged by pathlib's Windows rules and by the system's own."""

import os
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundlasso.bridge.naming import (
    check_template,
    collision_key,
    fill_template,
    make_distinct,
    printable,
    safe_name,
    template_fields,
)
from soundlasso.dsp.errors import SoundlassoError

NASTY = [
    "AC/DC: live?",
    "..",
    ". ",
    "CON",
    "conin$",
    "com1.txt",
    "nul .x",
    "aux\t",
    "a\nb",
    "a\0b",
    "\u202egpj.exe",
    "e\u0301tude",
    "caf\udce9",
    "emoji 👩\u200d🎤",
    "x" * 500,
    "音" * 200,
    '<>:"/\\|?*',
    "  trailing.  ",
    "",
]


def is_valid_everywhere(name: str) -> bool:
    windows = PureWindowsPath(name)
    return (
        windows.parts == (name,)
        and not windows.is_reserved()
        and not set(name) & set('<>:"/\\|?*')
        and all(unicodedata.category(character) not in ("Cc", "Cs") for character in name)
        and name == name.strip(" ").rstrip(".")
        and 0 < len(name.encode()) <= 81
    )


@pytest.mark.filterwarnings("ignore:pathlib.PureWindowsPath.is_reserved:DeprecationWarning")
@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_becomes_a_valid_name(tmp_path: Path, text: str) -> None:
    name = safe_name(text)
    assert is_valid_everywhere(name)
    (tmp_path / f"{name}.wav").write_bytes(b"")
    assert os.listdir(tmp_path) == [f"{name}.wav"]


@pytest.mark.filterwarnings("ignore:pathlib.PureWindowsPath.is_reserved:DeprecationWarning")
@given(st.text(st.characters(), max_size=120))
def test_any_text_becomes_a_valid_name(text: str) -> None:
    assert is_valid_everywhere(safe_name(text))


@pytest.mark.parametrize("text", ["drums", "a person talking", "Björk - Jóga (live)", "声", "50% wet & dry"])
def test_plain_text_stays(text: str) -> None:
    assert safe_name(text) == text


@pytest.mark.parametrize("letter", ["x", "я", "音"])
def test_long_texts_that_differ_at_the_end_alone_keep_names_of_their_own(letter: str) -> None:
    names = [safe_name(letter * 200 + end) for end in ("1", "2")]
    assert len(set(names)) == 2
    assert all(name.startswith(letter * 20) and len(name.encode()) <= 80 for name in names)
    values = {"mix": letter * 200, "query": "drums", "model": "", "folder": letter * 200}
    assert fill_template("{mix} - {query}", values) == PurePosixPath(f"{safe_name(letter * 200)} - drums")


def test_a_template_is_filled_with_safe_values() -> None:
    values = {"mix": "a/b", "query": "dog: barking", "model": "lariat", "folder": "takes"}
    assert fill_template("{folder}/{mix} - {query}", values) == PurePosixPath("takes/a_b - dog_ barking")
    assert fill_template("{{{query}}}", values) == PurePosixPath("{dog_ barking}")


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{mix} - {querry}", r"did you mean \{query\}"),
        ("{number}", r"use \{mix\}, \{query\}, .*\{folder\}"),
        ("{}", "no field"),
        ("{mix!r}{query}", "no field"),
        ("{mix.__class__}", "no field"),
        ("{query:>500}", "no field"),
        ("{mix", "cannot read"),
        ("/etc/{query}", "not a path inside"),
        ("../{query}", "not a path inside"),
        ("a/../../{query}", "not a path inside"),
        ("..\\{query}", "not a path inside"),
        ("", "not a path inside"),
    ],
)
def test_a_wrong_template_is_refused(template: str, reason: str) -> None:
    with pytest.raises(SoundlassoError, match=reason):
        check_template(template)


def test_what_cannot_be_printed_is_shown_as_an_escape() -> None:
    assert printable("a\nb\udce9 \x1b[31m é声") == "a\\nb\\udce9 \\x1b[31m é声"


def test_the_fields_of_a_template_are_those_in_single_braces() -> None:
    assert template_fields("{mix}/{{query}} {model}") == {"mix", "model"}


def test_names_that_collide_somewhere_are_numbered() -> None:
    names = [
        PurePosixPath(name) for name in ("Violin", "violin", "VIOLIN", "\u00e9", "e\u0301", "violin (2)")
    ]
    assert [str(name) for name in make_distinct(names)] == [
        "Violin",
        "violin (2)",
        "VIOLIN (3)",
        "\u00e9",
        "e\u0301 (2)",
        "violin (2) (2)",
    ]


@given(st.lists(st.sampled_from(["a", "A", "a (2)", "A (2)", "ß", "ss", "ﬁ", "fi"]), max_size=12))
def test_no_two_names_collide(names: list[str]) -> None:
    distinct = make_distinct(PurePosixPath(name) for name in names)
    assert len({collision_key(name) for name in distinct}) == len(names)
