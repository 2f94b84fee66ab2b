"""Chains in a preset: pedalboard's effects by class and parameter names, plugins by name or file."""

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.presets.fields import check_choice, check_number
from soundlasso.bridge.presets.problems import Problem, Problems, nearest

if TYPE_CHECKING:
    from pedalboard import Plugin

    from soundlasso.bridge.container import Item
    from soundlasso.bridge.hosted import HostedPlugin

Value = int | float | bool | str
EFFECT, PLUGIN = "effect", "plugin"

_LEFT_OUT = {
    "PitchShift": "falls silent in a stream",
    "GSMFullRateCompressor": "gives other sound for other blocks",
    "IIRFilter": "has nothing to set",
}
_CONTAINERS = ("Plugin", "PluginContainer", "ExternalPlugin", "Chain", "Mix", "Pedalboard")
_FILE = "impulse_response_filename"  # what a convolution cannot be made without


@dataclasses.dataclass(frozen=True)
class Link:
    """One effect of a chain: pedalboard's own, or a third-party plugin.

    Attributes
    ----------
    kind
        ``"effect"`` or ``"plugin"``.
    name
        The effect's class in pedalboard, or the plugin's name or file.
    parameters
        What is not as usual, by pedalboard's or the plugin's own names.

    Raises
    ------
    Problems
        There is no such effect or parameter, or pedalboard refuses a value.  A plugin is only looked
        at when it is made, because that runs it.
    """

    kind: str
    name: str
    parameters: Mapping[str, Value] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked without running foreign code."""
        object.__setattr__(self, "parameters", dict(self.parameters))
        if not isinstance(self.name, str):
            raise Problems([Problem((self.kind,), f"is {self.name!r}; it must be text")])
        if self.kind == EFFECT:
            make_effect(self)
        elif wrong := [key for key, value in self.parameters.items() if not isinstance(value, Value)]:
            raise Problems([Problem((key,), "must be a number, text, or true or false") for key in wrong])

    def to_dict(self) -> dict[str, Any]:
        """Return the link as it stands in a file."""
        return {self.kind: self.name, **self.parameters}


def read_link(table: Any) -> Link:
    """Read one item of a chain; the reverse of `Link.to_dict`.

    Raises
    ------
    Problems
        As `Link`, or it is no table with an effect or a plugin.
    """
    if isinstance(table, Link):
        return table
    if not isinstance(table, dict):
        raise Problems([Problem((), f'is {table!r}; it must be a table such as {{effect = "Reverb"}}')])
    kinds = [kind for kind in (EFFECT, PLUGIN) if kind in table]
    if len(kinds) != 1:
        raise Problems([Problem((), f"has {', '.join(table)}; it must have either effect or plugin")])
    return Link(kinds[0], table[kinds[0]], {k: v for k, v in table.items() if k != kinds[0]})


def make_items(links: Sequence[Link]) -> list["Item"]:
    """Make the effects of a chain, new ones each time.

    Raises
    ------
    PluginError
        A plugin is not there, has no such parameter, or died.
    """
    return [make_effect(link) if link.kind == EFFECT else _make_plugin(link) for link in links]


def files_of(links: Sequence[Link]) -> list[str]:
    """Return the files whose content the effects of a chain take up."""
    return [str(link.parameters[_FILE]) for link in links if link.kind == EFFECT and _FILE in link.parameters]


def move(effect: Any, key: str, value: Value) -> None:
    """Set a parameter of one of pedalboard's effects while it plays.

    Raises
    ------
    ValueError
        There is no such parameter, or not with this value.
    """
    name = type(effect).__name__
    setattr(effect, key, _check_parameter(name, key, value, parameters(name)))


def _make_plugin(link: Link) -> "HostedPlugin":
    from soundlasso.bridge.hosted import HostedPlugin

    return HostedPlugin(link.name, link.parameters)


@functools.cache
def effects() -> dict[str, type["Plugin"]]:
    """Return pedalboard's effects that a preset may name."""
    import pedalboard

    found = {name: value for name, value in vars(pedalboard).items() if isinstance(value, type)}
    return {
        name: cls
        for name, cls in sorted(found.items())
        if issubclass(cls, pedalboard.Plugin)
        and not issubclass(cls, pedalboard.ExternalPlugin)
        and name not in (*_LEFT_OUT, *_CONTAINERS)
    }


@functools.cache
def parameters(name: str) -> dict[str, Any]:
    """Return the parameters of an effect with their usual values, None for one that must be given.

    An enumeration (pybind11's, which is no `enum.Enum`) is its members' names, the usual one first.
    """
    cls = effects()[name]
    signature = str(cls.__init__.__doc__).split("\n")[0].partition(",")[2]
    names = re.findall(r"(?:^|, )\s*(\w+): ", signature)
    plain = None if _FILE in names else cls()
    return {key: _usual(getattr(plain, key, None)) for key in names}


def _usual(value: Any) -> Any:
    if hasattr(type(value), "__members__"):
        usual: str = value.name
        return (usual, *(name for name in type(value).__members__ if name != usual))
    return value


def make_effect(link: Link) -> "Plugin":
    """Make one of pedalboard's effects.

    Raises
    ------
    Problems
        There is no such effect or parameter, or pedalboard refuses a value.
    """
    if link.name not in effects():
        reason = _LEFT_OUT.get(link.name)
        hint = f"which {reason}; choose another" if reason else nearest(link.name, effects())
        raise Problems([Problem((EFFECT,), f"is {link.name!r}; {hint}")])
    known = parameters(link.name)
    values, problems = {}, []
    for key, value in link.parameters.items():
        try:
            values[key] = _check_parameter(link.name, key, value, known)
        except ValueError as error:
            problems.append(Problem((key,), str(error)))
    if problems:
        raise Problems(problems)
    return _make(link, values)


def _make(link: Link, values: dict[str, Any]) -> "Plugin":
    """Make an effect, or find out which of its values pedalboard refuses."""
    cls = effects()[link.name]
    try:
        return cls(**values)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        guilty = next((key for key in values if _is_refused(cls, key, values)), EFFECT)
        text = f"is {link.to_dict()[guilty]!r}, which pedalboard refuses: {reason}"
        raise Problems([Problem((guilty,), text)]) from error


def _is_refused(cls: type["Plugin"], key: str, values: dict[str, Any]) -> bool:
    needed = {name: values[name] for name in (_FILE,) if name in values}
    try:
        cls(**{**needed, key: values[key]})
    except (ValueError, TypeError, RuntimeError):
        return True
    return False


def _check_parameter(effect: str, key: str, value: Any, known: Mapping[str, Any]) -> Any:
    if key not in known:
        raise ValueError(f"is no parameter of {effect}; {nearest(key, known)}")
    usual = known[key]
    if isinstance(usual, tuple):
        member = check_choice(value, usual)
        return type(getattr(effects()[effect](), key)).__members__[member]
    if isinstance(usual, bool):
        if not isinstance(value, bool):
            raise ValueError(f"is {value!r}; it must be true or false")
        return value
    if key == _FILE:
        if not isinstance(value, str):
            raise ValueError(f"is {value!r}; it must be the path of an audio file")
        return value
    return check_number(value, float)
