"""Settings of a preset as dataclass fields that carry their help and range, and are checked by them."""

import dataclasses
import math
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from soundlasso.bridge.presets.problems import Problem, Problems, nearest

_NAMES = {str: "text", bool: "true or false", float: "a number", int: "a whole number"}


def setting(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    key: str | None = None,
) -> Any:
    """Declare a field.

    Parameters
    ----------
    default
        Its value when the preset does not say; without one, the preset must.
    help
        What it does, in one sentence.
    low, high
        The least and the greatest number.
    key
        How the file calls it, if not by the field's name.
    """
    metadata = {"help": help, "low": low, "high": high, "key": key}
    return dataclasses.field(default=default, metadata=metadata)


def keys_of(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of a dataclass that a file may set, by the file's names for them."""
    return {f.metadata["key"] or f.name: f for f in dataclasses.fields(cls) if "key" in f.metadata}


def hint_of(cls: type, field: dataclasses.Field[Any]) -> tuple[Any, bool]:
    """Return the type of a field without None, and whether it may be None."""
    hint = get_type_hints(cls)[field.name]
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (part for part in get_args(hint) if part is not type(None))
        return inner, True
    return hint, False


def check(instance: Any) -> None:
    """Check every setting of a dataclass by its type and range; store it in its own type.

    Raises
    ------
    Problems
        All that is wrong.
    """
    problems = []
    for key, field in keys_of(type(instance)).items():
        hint, may_be_none = hint_of(type(instance), field)
        value = getattr(instance, field.name)
        if dataclasses.is_dataclass(hint) or (value is None and may_be_none):
            continue
        try:
            object.__setattr__(instance, field.name, checked(value, hint, field))
        except ValueError as error:
            problems.append(Problem((key,), str(error)))
    if problems:
        raise Problems(problems)


def checked(value: Any, hint: Any, field: dataclasses.Field[Any]) -> Any:
    """Return a value in a field's own type.

    Raises
    ------
    ValueError
        It is of another kind, or outside the range.
    """
    if get_origin(hint) is Literal:
        return check_choice(value, get_args(hint))
    if get_origin(hint) is tuple:
        return _checked_items(value, get_args(hint)[0])
    if hint in (int, float):
        return check_number(value, hint, field.metadata["low"], field.metadata["high"])
    if not isinstance(value, hint):
        raise ValueError(f"is {value!r}; it must be {_NAMES[hint]}")
    return value


def _checked_items(value: Any, hint: Any) -> tuple[Any, ...]:
    if hint is str and isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        wanted = "a text or a list of texts" if hint is str else "a list"
        raise ValueError(f"is {value!r}; it must be {wanted}")
    for item in value:
        if get_origin(hint) is Literal:
            check_choice(item, get_args(hint))
        elif hint is str and not isinstance(item, str):
            raise ValueError(f"has {item!r} in it; all must be texts")
    return tuple(value)


def check_choice(value: Any, choices: tuple[Any, ...]) -> Any:
    """Return a value that is one of the choices.

    Raises
    ------
    ValueError
        It is not; the nearest is named.
    """
    if value not in choices:
        hint = nearest(value, choices) if isinstance(value, str) else f"choose one of {', '.join(choices)}"
        raise ValueError(f"is {value!r}; {hint}")
    return value


def check_number(value: Any, kind: type, low: float | None = None, high: float | None = None) -> Any:
    """Return a number as a float or int, in its range.

    Raises
    ------
    ValueError
        It is no finite number, or outside the range.
    """
    allowed = int if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not math.isfinite(value):
        raise ValueError(f"is {value!r}; it must be {_NAMES[kind]}")
    if low is not None and value < low:
        raise ValueError(f"is {value!r}; it must be at least {low:g}")
    if high is not None and value > high:
        raise ValueError(f"is {value!r}; it must be at most {high:g}")
    return kind(value)
