"""Read presets from TOML, and write them: every mistake told at once, each with its place."""

import dataclasses
import functools
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from soundlasso.bridge.presets.chains import Link, read_link
from soundlasso.bridge.presets.fields import checked, hint_of, keys_of
from soundlasso.bridge.presets.preset import Preset, Stem
from soundlasso.bridge.presets.problems import Keys, Problem, Problems, nearest, tell
from soundlasso.dsp.errors import PresetError

Table = dict[str, Any]
_TOML_ONLY = re.compile(r'["\[]|{(?!\w+})')  # but not {mix}, with which a name template may begin
Made = TypeVar("Made")


def read_preset(path: Path, overrides: Sequence[str] = ()) -> Preset:
    """Read a preset file.

    Parameters
    ----------
    path
        The file.
    overrides
        Settings to change, as ``stem.drums.gain_db=-3``.

    Raises
    ------
    PresetError
        It cannot be read, or something in it cannot be: file, line, key, value and the nearest valid word.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PresetError(f"cannot read preset {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PresetError(f"preset {str(path)!r} is not text in UTF-8: {error.reason}") from error
    return parse_preset(text, str(path), name=path.stem, overrides=overrides)


def parse_preset(
    text: str, source: str = "preset", *, name: str = "preset", overrides: Sequence[str] = ()
) -> Preset:
    """Read a preset from its text; parameters and errors as `read_preset`.

    `name` is the preset's when the text gives none, `source` is what errors call the text.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PresetError(f"{source} is no valid TOML: {error}") from error
    given = dict(_override(table, override) for override in overrides)
    try:
        return _build(Preset, {"name": name, **table})
    except Problems as error:
        raise tell(source, text, error.problems, given) from error


def _override(table: Table, override: str) -> tuple[Keys, str]:
    """Change one setting of a table; return where, and where it came from."""
    path, equals, value = override.partition("=")
    words = _split(path)
    if not equals or not words:
        raise PresetError(f"cannot set {override!r}; an example is stem.drums.gain_db=-3")
    inner: Any = table
    keys: list[str | int] = []
    for word in words[:-1]:
        keys.append(_key(inner, word))
        inner = _inside(inner, keys[-1])
    last, new = _key(inner, words[-1]), _value(value.strip(), override)
    if isinstance(inner, dict):
        inner[last] = new
    elif isinstance(inner, list) and isinstance(last, int) and last < len(inner):
        inner[last] = new
    else:
        raise PresetError(f"cannot set {override!r}: there is no {path!r} in the preset")
    return (*keys, last), f"--set {override!r}"


def _key(value: Any, word: str) -> str | int:
    """Return a word as a key of what it is looked up in: a number in a list, a name in a table, even 1."""
    return int(word) if isinstance(value, list) and word.isdecimal() else word


def _inside(value: Any, key: str | int) -> Any:
    """Return an item of a list, or of a table, where one is made if it is not there; None of all else."""
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return value.setdefault(key, {}) if isinstance(value, dict) else None


def _split(path: str) -> list[str]:
    """Split a dotted path, where a part may be quoted: ``stem."lead voice".pan``, and ``chain[0]`` may be."""
    try:
        inner: Any = tomllib.loads(f"{path.replace('[', '.').replace(']', '')} = 0")
    except tomllib.TOMLDecodeError:
        return []
    keys = []
    while isinstance(inner, dict):
        ((key, inner),) = inner.items()
        keys.append(key)
    return keys


def _value(text: str, override: str) -> Any:
    """Read a value as TOML has it; what is none is a text without its quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if _TOML_ONLY.match(text):  # it was meant to be TOML
            raise PresetError(
                f"cannot set {override!r}: {text!r} is no valid TOML; a list is given as in "
                '--set \'stem.drums.query=["drums", "a snare"]\', a text that begins so in double quotes'
            ) from error
        return text


def _build(cls: type[Made], table: Any, **more: Any) -> Made:
    """Make a dataclass of a table, after those inside it.

    Raises
    ------
    Problems
        All of them, from here inwards.
    """
    if not isinstance(table, dict):
        raise Problems([Problem((), f"is {table!r}; it must be a table")])
    fields = keys_of(cls)
    problems = [Problem((k,), f"is no setting; {nearest(k, fields)}") for k in table if k not in fields]
    values: Table = dict(more)
    for key, field in fields.items():
        if key not in table:
            if field.default is dataclasses.MISSING:
                problems.append(Problem((key,), "is missing"))
            continue
        try:
            values[field.name] = _read(cls, field, table[key])
        except Problems as error:
            problems += [problem.inside(key) for problem in error.problems]
        except ValueError as error:
            problems.append(Problem((key,), str(error)))
    if problems:
        raise Problems(problems)
    return cls(**values)


def _read(cls: type, field: dataclasses.Field[Any], value: Any) -> Any:
    hint, _ = hint_of(cls, field)
    if dataclasses.is_dataclass(hint):
        return _build(hint, value)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and get_args(hint)[0] is Stem:
        return _read_stems(value)
    if get_origin(hint) is tuple and get_args(hint)[0] is Link:
        return _read_chain(value)
    return checked(value, hint, field)


def _read_stems(table: Any) -> tuple[Stem, ...]:
    if not isinstance(table, dict):
        raise Problems([Problem((), f"is {table!r}; it must be tables, as [stem.drums]")])
    return _gather((name, functools.partial(_build, Stem, table[name], name=name)) for name in table)


def _read_chain(value: Any) -> tuple[Link, ...]:
    if not isinstance(value, list):
        raise Problems([Problem((), f"is {value!r}; it must be a list of effects")])
    return _gather((number, functools.partial(read_link, item)) for number, item in enumerate(value))


def _gather(makers: Iterable[tuple[str | int, Callable[[], Made]]]) -> tuple[Made, ...]:
    made, problems = [], []
    for key, make in makers:
        try:
            made.append(make())
        except Problems as error:
            problems += [problem.inside(key) for problem in error.problems]
    if problems:
        raise Problems(problems)
    return tuple(made)


def write_preset(preset: Preset) -> str:
    """Return a preset as TOML, without what is as usual: the reverse of `parse_preset`."""
    import tomli_w

    return tomli_w.dumps(to_table(preset), multiline_strings=True)


def to_table(instance: Any) -> Table:
    """Return the table that a preset, or a part of one, is read from."""
    table: Table = {}
    for key, field in keys_of(type(instance)).items():
        value = getattr(instance, field.name)
        if key == "name" and isinstance(instance, Preset):
            table[key] = value
        elif value != field.default:
            table[key] = _plain(value)
    return table


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_table(value)
    if not isinstance(value, tuple):
        return value
    if value and isinstance(value[0], Stem):
        return {stem.name: to_table(stem) for stem in value}
    return [item.to_dict() if isinstance(item, Link) else item for item in value]
