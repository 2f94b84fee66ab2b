"""Name output files so that every operating system takes them and none hides another."""

import difflib
import hashlib
import string
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from soundlasso.dsp.errors import SoundlassoError

DEFAULT_TEMPLATE = "{mix} - {query}"
FIELDS = ("mix", "query", "stem", "preset", "model", "folder")
"""What a template may name: the mix's file name, the query, the stem's name in a preset (else the query), the
preset's name, the model, and the mix's folder."""

_FORBIDDEN = set('<>:"/\\|?*')  # on Windows; "/" everywhere
_BIDI_CONTROLS = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DEVICES = ("CON", "CONIN$", "CONOUT$", "PRN", "AUX", "NUL")
_RESERVED = {*_DEVICES, *(f"{port}{n}" for port in ("COM", "LPT") for n in "123456789¹²³")}
_VALUE_BYTES = 80  # of a query or mix in a name
_NAME_BYTES = 200  # of a whole name; file systems allow 255 with the ending
_MARK_DIGITS = 8  # enough to tell apart all that one folder can hold


def safe_name(text: str, *, max_bytes: int = _VALUE_BYTES) -> str:
    """Turn any text into a part of a file name that is valid on Linux, macOS and Windows.

    Forbidden and invisible characters become ``_``, white space becomes single spaces, dots and spaces at
    the ends go, and names that Windows keeps for devices get a ``_``.  A text that is too long is cut, and
    ends in digits of its hash: what differs in the cut part alone keeps names of its own.

    Parameters
    ----------
    text
        Any text.
    max_bytes
        The most UTF-8 bytes of the result.

    Returns
    -------
    str
        A name of at least one character, in Unicode's composed form (NFC).
    """
    composed = unicodedata.normalize("NFC", " ".join(text.split()))
    name = "".join("_" if _is_forbidden(character) else character for character in composed)
    if len(name.encode()) > max_bytes:
        name = _cut(name, max_bytes, composed)
    name = name.strip(" .") or "_"
    if name.split(".")[0].rstrip(" ").upper() in _RESERVED:
        name = "_" + name
    return name


def _is_forbidden(character: str) -> bool:
    return (
        character in _FORBIDDEN
        or character in _BIDI_CONTROLS
        or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    )


def _cut(name: str, max_bytes: int, text: str) -> str:
    """Shorten to a number of UTF-8 bytes, between characters; the end tells which text it was."""
    mark = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_MARK_DIGITS]
    head = name.encode()[: max_bytes - 1 - _MARK_DIGITS].decode(errors="ignore")
    return f"{head.rstrip()}~{mark}"


def printable(text: object) -> str:
    """Show a path or another text on one line: what cannot be printed becomes an escape."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def check_template(template: str) -> None:
    """Refuse a file name template that is no relative path or names an unknown field.

    Raises
    ------
    SoundlassoError
        With what would be right.
    """
    template_fields(template)
    parts = template.replace("\\", "/").split("/")
    if any(part.strip(" .") == "" for part in parts):
        raise SoundlassoError(f"the name template {template!r} is not a path inside the output folder")


def template_fields(template: str) -> set[str]:
    """Return which of `FIELDS` a template names.

    Raises
    ------
    SoundlassoError
        It names another field, or has braces that do not match.
    """
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise SoundlassoError(f"cannot read the name template {template!r}: {error}") from error
    fields = set()
    for _, field, spec, conversion in parsed:
        if field is not None:
            if field not in FIELDS or spec or conversion:
                raise _no_field(field, template)
            fields.add(field)
    return fields


def _no_field(field: str, template: str) -> SoundlassoError:
    near = difflib.get_close_matches(field, FIELDS, n=1)
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    hint = f"did you mean {{{near[0]}}}?" if near else f"use {known}"
    return SoundlassoError(f"no field {{{field}}} in name template {template!r}; {hint}")


def fill_template(template: str, values: Mapping[str, str]) -> PurePosixPath:
    """Make a relative path, without an ending, from a template.

    Parameters
    ----------
    template
        A text with fields of `FIELDS` in braces; ``/`` makes folders.
    values
        The text of each field; made safe here.

    Returns
    -------
    pathlib.PurePosixPath
        Each part safe on every system.
    """
    safe = {field: safe_name(value) for field, value in values.items()}
    parts = [part.format_map(safe) for part in template.replace("\\", "/").split("/")]
    return PurePosixPath(*(safe_name(part, max_bytes=_NAME_BYTES) for part in parts))


def collision_key(path: Path | PurePosixPath) -> str:
    """Map paths that some file system takes for one (case, Unicode form) to the same text."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def make_distinct(paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Give each path that would collide with an earlier one a number: ``violin``, ``Violin (2)``.

    Parameters
    ----------
    paths
        Relative paths without endings, in order of precedence.

    Returns
    -------
    list of pathlib.PurePosixPath
        As many, no two of which are one file on any system.
    """
    taken: set[str] = set()
    distinct = []
    for path in paths:
        candidate, number = path, 1
        while collision_key(candidate) in taken:
            number += 1
            candidate = path.with_name(f"{path.name} ({number})")
        taken.add(collision_key(candidate))
        distinct.append(candidate)
    return distinct
