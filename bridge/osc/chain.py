"""The chain that the live mix goes through: pedalboard's effects, and where clients have moved them.

Third-party plugins stay out: no address runs foreign code.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.osc.arguments import Arg, Value

if TYPE_CHECKING:
    from soundlasso.bridge.presets.chains import Link

MAX_EFFECTS = 16

RANGES: dict[str, tuple[float, float, str]] = {
    "attack_ms": (0.1, 1000, "ms"),
    "bit_depth": (1, 32, "bit"),
    "ceiling_db": (-60, 0, "dB"),
    "centre_delay_ms": (1, 50, "ms"),
    "centre_frequency_hz": (20, 20000, "Hz"),
    "cutoff_frequency_hz": (20, 20000, "Hz"),
    "cutoff_hz": (20, 20000, "Hz"),
    "damping": (0, 1, ""),
    "delay_seconds": (0, 10, "s"),
    "depth": (0, 1, ""),
    "drive": (1, 20, ""),
    "drive_db": (0, 60, "dB"),
    "dry_level": (0, 1, ""),
    "feedback": (0, 0.95, ""),
    "freeze_mode": (0, 1, ""),
    "gain_db": (-60, 24, "dB"),
    "mix": (0, 1, ""),
    "q": (0.1, 20, ""),
    "rate_hz": (0.01, 20, "Hz"),
    "ratio": (1, 100, ":1"),
    "release_ms": (1, 5000, "ms"),
    "resonance": (0, 1, ""),
    "room_size": (0, 1, ""),
    "threshold_db": (-100, 0, "dB"),
    "vbr_quality": (0, 9.5, ""),
    "wet_level": (0, 1, ""),
    "width": (0, 1, ""),
}
"""How far each of pedalboard's parameters goes over OSC, in every effect that has it."""

FIXED = ("impulse_response_filename", "lookahead_ms", "quality", "sample_rate", "target_sample_rate")
"""What an effect is made with and keeps: files, rates, and what decides how late it is."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Effects in a row; changed by replacing it.

    Attributes
    ----------
    links
        The effects as they were added.
    moved
        What clients have set since, by key: ``"2.gain_db"`` is the gain of the second effect.
    """

    links: tuple["Link", ...] = ()
    moved: Mapping[str, Value] = field(default_factory=dict)

    @staticmethod
    def holds(key: str) -> bool:
        """Whether a key is that of a chain's parameter."""
        return "." in key

    def get(self, key: str) -> Value:
        """Return the value of a parameter now."""
        number, _, name = key.partition(".")
        value = self.moved.get(key, _made_with(self.links[int(number) - 1], name))
        return int(value) if isinstance(value, bool) else value

    def setting(self, key: str) -> Value:
        """Return the value of a parameter now, as a preset holds it: a switch is true or false."""
        number, _, name = key.partition(".")
        is_switch = isinstance(_movable(self.links[int(number) - 1].name)[name], bool)
        return bool(self.get(key)) if is_switch else self.get(key)

    def values(self) -> list[dict[str, Value]]:
        """Return where all that can be moved is now, for each effect."""
        values: list[dict[str, Value]] = [{} for _ in self.links]
        for number, _, name, _ in self.controls():
            values[number - 1][name] = self.setting(f"{number}.{name}")
        return values

    def with_value(self, key: str, value: Value) -> "Chain":
        """Return the chain with another value of one parameter."""
        return Chain(self.links, {**self.moved, key: value})

    def with_effect(self, link: "Link") -> "Chain":
        """Return the chain with one more effect at its end."""
        return Chain((*self.links, link), self.moved)

    def without(self, number: int) -> "Chain":
        """Return the chain without an effect, counted from 1; those after it move up."""
        moved = {}
        for key, value in self.moved.items():
            at, _, name = key.partition(".")
            if int(at) != number:
                moved[f"{int(at) - (int(at) > number)}.{name}"] = value
        return Chain(self.links[: number - 1] + self.links[number:], moved)

    def settled(self) -> tuple["Link", ...]:
        """Return the effects as they are now, for a preset."""
        changed: list[dict[str, Any]] = [{} for _ in self.links]
        for key in self.moved:
            number, _, name = key.partition(".")
            changed[int(number) - 1][name] = self.setting(key)
        return tuple(
            replace(link, parameters={**link.parameters, **new})
            for link, new in zip(self.links, changed, strict=True)
        )

    def controls(self) -> Iterator[tuple[int, str, str, Arg]]:
        """Go through what can be moved: the effect's number and name, the parameter and what it takes."""
        for number, link in enumerate(self.links, 1):
            for name in _movable(link.name):
                yield number, link.name, name, _arg(link.name, name)


def _movable(effect: str) -> dict[str, Any]:
    """Return the parameters that can be moved while an effect plays, with their usual values."""
    from soundlasso.bridge.presets.chains import parameters

    return {name: usual for name, usual in parameters(effect).items() if name not in FIXED}


def _made_with(link: "Link", name: str) -> Value:
    usual = _movable(link.name)[name]
    value: Value = link.parameters.get(name, usual[0] if isinstance(usual, tuple) else usual)
    return 1.0 if value is None else value  # the mix of a convolution


def _arg(effect: str, name: str) -> Arg:
    usual = _movable(effect)[name]
    if isinstance(usual, tuple):
        return Arg("", "s", choices=tuple(sorted(usual)))
    if isinstance(usual, bool):
        return Arg("", "i", 0, 1)
    low, high, unit = RANGES[name]
    return Arg("", "f", low, high, unit)
