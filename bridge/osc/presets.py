"""Presets over OSC: a preset's sounds become slots, and slots become a preset.

A preset's effects on the mix become the chain. Slots have no effects of their own and no places in the stereo
image, and no address starts a plugin; what of a preset cannot be played is told, by name.
"""

import asyncio
import copy
from typing import TYPE_CHECKING

from soundlasso.bridge.osc.chain import MAX_EFFECTS, Chain
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.state import MAX_SLOTS, Settings, Slot, State

if TYPE_CHECKING:
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.server import Server
    from soundlasso.bridge.presets.library import Found
    from soundlasso.bridge.presets.preset import Preset, Stem

MAX_OWN = 200  # presets of the user's folder, which no client shall fill
LOWEST_GAIN_DB, HIGHEST_GAIN_DB = -60.0, 12.0


def apply_preset(preset: "Preset", state: State, model: str) -> list[str]:
    """Put a preset's sounds into slots, and its settings into the settings.

    Returns
    -------
    What slots cannot play of it: "the chain of drums", "the mix's loudness".

    Raises
    ------
    OscError
        It wants another model than the server's, or has too many sounds; then nothing has changed.
    """
    if preset.model != model:
        raise OscError("model_error", f"preset {preset.name!r} is for {preset.model!r}; serve --model it")
    slots = [slot for stem in preset.stems for slot in _slots_of(stem, _is_removal(preset))]
    if len(slots) > MAX_SLOTS:
        raise OscError("too_large", f"preset {preset.name!r} has {len(slots)} sounds; slots are {MAX_SLOTS}")
    state.slots = dict(enumerate(slots, 1))
    state.chain = Chain(tuple(link for link in preset.mix.chain if link.kind == "effect")[:MAX_EFFECTS])
    settings = state.settings
    settings.rest = int(preset.rest.is_written)
    settings.gate, settings.consistent = int(preset.gate), int(preset.consistent)
    settings.stereo, settings.format = preset.stereo, preset.output.format
    settings.avoid = ", ".join(dict.fromkeys(text for stem in preset.stems for text in stem.avoid))
    return _left_out(preset)


def _is_removal(preset: "Preset") -> bool:
    """Whether all its sounds go: then slots play the rest."""
    return all(stem.remove for stem in preset.stems)


def _slots_of(stem: "Stem", is_removal: bool) -> list[Slot]:
    """Make a slot for each query; of sounds to keep and to remove, those that go are switched off."""
    gain_db = stem.gain_db + (stem.duck_db or 0.0)
    gain_db = min(max(gain_db, LOWEST_GAIN_DB), HIGHEST_GAIN_DB)
    mode = "remove" if is_removal else "keep"
    enable = int(is_removal or not stem.remove)
    name = "" if stem.name in stem.queries or len(stem.queries) > 1 else stem.name  # a stem has one file
    return [
        Slot(query, gain_db, enable=enable, mode=mode, name=name, threshold=stem.gate_threshold)
        for query in stem.queries
    ]


def _left_out(preset: "Preset") -> list[str]:
    strips = [*((stem.name, stem) for stem in preset.stems), ("the rest", preset.rest)]
    left_out = [f"the chain of {name}" for name, strip in strips if strip.chain]
    left_out += [f"the pan of {name}" for name, strip in strips if strip.pan]
    left_out += [f"the mix's {link.name}" for link in preset.mix.chain if link.kind == "plugin"]
    effects = [link.name for link in preset.mix.chain if link.kind == "effect"]
    left_out += [f"the mix's {name}" for name in effects[MAX_EFFECTS:]]
    if preset.output.loudness_lufs is not None:
        left_out.append("the mix's loudness")
    return left_out


def as_preset(name: str, state: State, model: str) -> "Preset":
    """Make a preset of the enabled slots, muted ones without a file: the reverse of `apply_preset`.

    Raises
    ------
    OscError
        No enabled slot has a query.
    PresetError
        Something in it cannot be.
    """
    from soundlasso.bridge.presets.preset import Mix, Output, Preset, Stem, Strip

    settings: Settings = state.settings
    slots = [slot for _, slot in state.enabled()]
    if not slots:
        raise OscError("no_input", "no enabled slot has a query; set /lasso/query first")
    avoid = tuple(settings.avoided())
    return Preset(
        name=name,
        model=model,
        stereo=settings.stereo,  # type: ignore[arg-type]  # the table admits no other words
        gate=bool(settings.gate),
        consistent=bool(settings.consistent),
        stems=tuple(
            Stem(
                name=slot.label,
                queries=(slot.query,),
                avoid=avoid,
                gain_db=slot.gain_db,
                gate_threshold=slot.threshold,
                remove=slot.mode == "remove",
                write=not slot.mute,
            )
            for slot in slots
        ),
        rest=Strip(write=bool(settings.rest) or all(slot.mode == "remove" for slot in slots)),
        mix=Mix(chain=state.chain.settled()),
        output=Output(format=settings.format),  # type: ignore[arg-type]
    )


# The commands


def list_presets(server: "Server", call: "Call") -> None:
    """Answer with the presets, by name; a thread looks into the folders."""
    server.in_background(call, _list(server, call))


async def _list(server: "Server", call: "Call") -> None:
    found = await asyncio.to_thread(_found)
    items = [("/lasso/preset/item", name, int(preset.is_own)) for name, preset in found.items()]
    server.answer_many(call, [*items, ("/lasso/preset/end", len(items))])


def load_preset(server: "Server", call: "Call") -> None:
    """Put a preset into the slots; reading it takes seconds at first, so a thread does it."""
    (name,) = call.given
    server.in_background(call, _load(server, call, name))


async def _load(server: "Server", call: "Call", name: str) -> None:
    preset = await asyncio.to_thread(_loaded, name)
    slots, chain = set(server.state.slots), server.state.chain
    left_out = apply_preset(preset, server.state, server.options.model)
    server.state_replaced(slots, chain)
    call.done(name, len(server.state.slots), ", ".join(left_out))


def _found() -> "dict[str, Found]":
    from soundlasso.bridge.presets.library import find_presets

    return find_presets()


def _loaded(name: str) -> "Preset":
    from soundlasso.bridge.presets.library import load_preset

    if name not in _found():  # a path is none of them: files are for --preset
        raise OscError("not_found", f"no preset {name[:64]!r}; /lasso/preset/list tells all")
    return load_preset(name)


def save_preset(server: "Server", call: "Call") -> None:
    """Save the enabled slots as a preset of the user's."""
    (name,) = call.given
    server.in_background(call, _save(server, call, name))


async def _save(server: "Server", call: "Call", name: str) -> None:
    state = copy.deepcopy(server.state)  # which changes while the thread is at work
    await asyncio.to_thread(_save_state, name, state, server.options.model)
    call.done(name)


def _save_state(name: str, state: State, model: str) -> None:
    from soundlasso.bridge.presets import library

    preset = as_preset(name, state, model)
    found = library.find_presets()
    if name in found:  # one that ships would be hidden by it, in every program
        raise OscError("exists", f"a preset {name!r} is there already; choose another name")
    if sum(preset.is_own for preset in found.values()) >= MAX_OWN:
        raise OscError("too_large", f"you have {MAX_OWN} presets, the most that OSC may add to; delete some")
    library.save_preset(preset)
