"""What the server remembers: settings of the whole, and numbered slots with one query each."""

from dataclasses import dataclass, field
from typing import Any

from soundlasso.bridge.osc.chain import Chain
from soundlasso.bridge.osc.errors import OscError
from soundlasso.dsp.gate import USUAL_THRESHOLD

MAX_SLOTS = 64


@dataclass(slots=True)
class Slot:
    """One named sound: what to look for and what to do with it."""

    query: str = ""
    gain_db: float = 0.0
    enable: int = 1
    mute: int = 0
    solo: int = 0
    mode: str = "keep"
    presence: float = 0.0  # is the sound there now? told by the running stream
    name: str = ""
    threshold: float = USUAL_THRESHOLD

    @property
    def label(self) -> str:
        """What the slot is called: its name, or else its query."""
        return self.name or self.query


@dataclass(slots=True)
class Settings:
    """What holds for all slots."""

    mix: float = 1.0
    rest: int = 1
    gate: int = 1
    consistent: int = 0
    stereo: str = "linked"
    avoid: str = ""
    input: str = ""
    output: str = ""
    format: str = "wav"
    existing: str = "refuse"

    def avoided(self) -> list[str]:
        """Return the sounds to avoid, one by one."""
        return listed(self.avoid)


def listed(texts: str) -> list[str]:
    """Return the texts between commas, one by one."""
    return [text.strip() for text in texts.split(",") if text.strip()]


@dataclass(slots=True)
class State:
    """Settings, slots and the chain; slot 1 is there, others come when something about them is set first."""

    settings: Settings = field(default_factory=Settings)
    slots: dict[int, Slot] = field(default_factory=lambda: {1: Slot()})
    chain: Chain = field(default_factory=Chain)

    def slot(self, number: int) -> Slot:
        """Return a slot.

        Raises
        ------
        OscError
            With code ``not_found`` when nothing about it was ever set.
        """
        if number not in self.slots:
            known = ", ".join(map(str, sorted(self.slots))) or "none yet"
            raise OscError("not_found", f"no slot {number}; there are {known}")
        return self.slots[number]

    def get(self, key: str, slot: int | None) -> Any:
        """Return a value, of a slot, of the chain or of the whole."""
        if Chain.holds(key):
            return self.chain.get(key)
        return getattr(self.settings if slot is None else self.slot(slot), key)

    def set(self, key: str, slot: int | None, value: Any) -> bool:
        """Set a value, of a slot, of the chain or of the whole; return whether that made the slot."""
        if Chain.holds(key):
            self.chain = self.chain.with_value(key, value)
            return False
        is_new = slot is not None and slot not in self.slots
        target = self.settings if slot is None else self.slots.setdefault(slot, Slot())
        setattr(target, key, value)
        return is_new

    def enabled(self) -> list[tuple[int, Slot]]:
        """Return the slots that take part and have a query, by number."""
        return [(number, slot) for number, slot in sorted(self.slots.items()) if slot.enable and slot.query]
