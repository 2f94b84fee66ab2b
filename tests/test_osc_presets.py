"""Presets become slots and slots presets, over OSC and at the start; what slots cannot play is told."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from soundlasso.bridge.commands.serve import preset_state
from soundlasso.bridge.osc import presets
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.presets import MAX_OWN, apply_preset, as_preset
from soundlasso.bridge.osc.state import Slot, State
from soundlasso.bridge.presets import library
from soundlasso.bridge.presets.library import load_preset
from soundlasso.bridge.presets.preset import Output, Preset, Stem, Strip
from tests.osc_help import Ear, Running, running

LOAD_LIMIT_S = 60.0  # libraries load slowly on a busy machine


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOUNDLASSO_CONFIG", str(tmp_path))
    return tmp_path / "presets"


@pytest.fixture
def server() -> Iterator[Running]:
    with running() as made:
        yield made


def preset(**more: object) -> Preset:
    drums = Stem(name="d", queries=("drums", "a snare"), gain_db=3.0, duck_db=-10.0, avoid=("a choir",))
    voice = Stem(name="v", queries=("a voice",), gain_db=40.0, remove=True, pan=0.5)
    made: dict[str, object] = {"stems": (drums, voice), "gate": False, "rest": Strip(write=False)}
    return Preset(**(made | {"output": Output(format="flac")} | more))  # type: ignore[arg-type]


def test_each_query_becomes_a_slot_with_its_level() -> None:
    state = State(slots={7: Slot("before")})
    assert apply_preset(preset(), state, "lariat") == ["the pan of v"]
    assert state.slots == {
        1: Slot("drums", -7.0),
        2: Slot("a snare", -7.0),
        3: Slot("a voice", 12.0, enable=0, name="v"),  # goes, and is no part of the rest
    }
    settings = state.settings
    assert (settings.gate, settings.rest, settings.format, settings.avoid) == (0, 0, "flac", "a choir")


def test_a_preset_that_only_removes_plays_the_rest() -> None:
    state = State()
    apply_preset(load_preset("drums-out"), state, "lariat")
    assert {slot.mode for slot in state.slots.values()} == {"remove"}
    assert {slot.enable for slot in state.slots.values()} == {1}


def test_another_model_and_too_many_sounds_are_refused() -> None:
    state = State()
    with pytest.raises(OscError, match="is for 'audiosep'; serve --model it"):
        apply_preset(preset(model="audiosep"), state, "lariat")
    many = tuple(Stem(name=f"s{i}", queries=(f"sound {i}",)) for i in range(65))
    with pytest.raises(OscError, match="has 65 sounds; slots are 64"):
        apply_preset(preset(stems=many), state, "lariat")
    assert state == State()


def test_slots_come_back_as_they_were() -> None:
    state = State(slots={1: Slot("drums", -3.0), 2: Slot("a voice", 1.5, threshold=0.3)})
    state.settings.consistent, state.settings.stereo = 1, "independent"
    again = State()
    assert apply_preset(as_preset("mine", state, "lariat"), again, "lariat") == []
    assert again == state


def test_every_shipped_preset_for_the_shipped_model_can_be_served() -> None:
    for name in ("band", "podcast", "remix-four", "vocal-down"):
        assert preset_state(name, "lariat").enabled()


def test_presets_are_listed_loaded_and_saved_over_osc(server: Running, ear: Ear, own_folder: Path) -> None:
    ear.ask("/lasso/slot/9/query", "before", answer="/lasso/done")
    ear.ask("/lasso/notify", 1, 0, 1, answer="/lasso/done")
    ear.send("/lasso/preset/list")
    (count,) = ear.wait("/lasso/preset/end")
    items = {m.args[0]: m.args[1] for m in ear.heard if m.address == "/lasso/preset/item"}
    assert len(items) == count
    assert items["remix-four"] == 0
    assert ear.refusal("/lasso/preset/load", "no such") == "not_found"
    assert ear.refusal("/lasso/preset/load", "/etc/passwd.toml") == "not_found"
    ear.send("/lasso/preset/load", "remix-four")
    assert ear.wait("/lasso/done", LOAD_LIMIT_S) == ("/lasso/preset/load", "remix-four", 4, "")
    assert ear.wait("/lasso/slot/1/query") == ("drums",)  # who listens is told
    assert ear.refusal("/lasso/slot/9/query") == "not_found"
    ear.send("/lasso/preset/save", "mine")
    assert ear.wait("/lasso/done", LOAD_LIMIT_S) == ("/lasso/preset/save", "mine")
    assert [stem.queries for stem in load_preset("mine").stems][:2] == [("drums",), ("bass guitar",)]
    assert ear.refusal("/lasso/preset/save", "mine") == "exists"
    assert ear.refusal("/lasso/preset/save", "podcast") == "exists"
    assert ear.refusal("/lasso/preset/save", "../mine") == "bad_args"
    assert ear.refusal("/lasso/preset/save", "mine.toml") == "bad_args"
    assert [path.name for path in own_folder.iterdir()] == ["mine.toml"]


def test_a_client_cannot_fill_the_folder_of_presets(server: Running, ear: Ear, own_folder: Path) -> None:
    own_folder.mkdir(exist_ok=True)
    for number in range(MAX_OWN):
        (own_folder / f"{number}.toml").write_text("")
    ear.ask("/lasso/query", "drums", answer="/lasso/done")
    assert ear.refusal("/lasso/preset/save", "one more") == "too_large"
    assert len(list(own_folder.iterdir())) == MAX_OWN


def test_slots_that_come_and_go_with_a_preset_are_told_to_oscquery(server: Running, ear: Ear) -> None:
    ear.ask("/lasso/slot/9/query", "before", answer="/lasso/done")
    with connect(f"ws://127.0.0.1:{server.port}/", open_timeout=LOAD_LIMIT_S) as web:
        ear.ask("/lasso/ping", answer="/lasso/pong")
        ear.send("/lasso/preset/load", "vocal-down")  # two sounds
        ear.wait("/lasso/done", LOAD_LIMIT_S)
        told = [json.loads(web.recv(timeout=LOAD_LIMIT_S)) for _ in range(2)]
    assert {(one["COMMAND"], one["DATA"]) for one in told} == {
        ("PATH_REMOVED", "/lasso/slot/9"),
        ("PATH_ADDED", "/lasso/slot/2"),
    }


def test_pings_are_answered_while_a_preset_loads(server: Running, ear: Ear) -> None:
    ear.send("/lasso/preset/load", "podcast")
    start_s = time.monotonic()
    ear.ask("/lasso/ping", answer="/lasso/pong")
    assert time.monotonic() - start_s < 1.0
    ear.wait("/lasso/done", LOAD_LIMIT_S)


def test_presets_are_looked_for_beside_the_loop(
    server: Running, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    find = library.find_presets

    def noted() -> dict[str, library.Found]:
        threads.append(threading.current_thread())
        return find()

    monkeypatch.setattr(library, "find_presets", noted)
    ear.ask("/lasso/preset/list", answer="/lasso/preset/end")
    ear.refusal("/lasso/preset/load", "no such")
    ear.ask("/lasso/query", "drums", answer="/lasso/done")
    ear.refusal("/lasso/preset/save", "podcast")
    loop_thread = server.ask(threading.current_thread)
    assert len(threads) == 3
    assert loop_thread not in threads


def test_a_preset_is_saved_as_the_slots_were_when_its_turn_came(
    server: Running, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(name: str, state: State, model: str) -> Preset:
        server.ask(lambda: server.server.state.set("query", 1, "a dog"))
        return as_preset(name, state, model)

    monkeypatch.setattr(presets, "as_preset", slow)
    ear.ask("/lasso/query", "drums", answer="/lasso/done")
    ear.send("/lasso/preset/save", "mine")
    assert ear.wait("/lasso/done", LOAD_LIMIT_S) == ("/lasso/preset/save", "mine")
    assert ear.ask("/lasso/query") == ("a dog",)
    assert load_preset("mine").stems[0].queries == ("drums",)


def test_sync_waits_for_a_preset_that_loads(server: Running, ear: Ear) -> None:
    ear.send("/lasso/preset/load", "podcast")
    ear.send("/lasso/sync", 5)
    assert ear.wait("/lasso/synced", LOAD_LIMIT_S) == (5,)
    order = [message.address for message in ear.heard]
    assert order.index("/lasso/done") < order.index("/lasso/synced")
    assert ear.ask("/lasso/slot/1/query", answer="/lasso/slot/1/query") == ("a person talking",)
    assert ear.ask("/lasso/slot/1/name", answer="/lasso/slot/1/name") == ("voice",)


def test_a_slots_name_is_its_stems_in_a_preset(server: Running, ear: Ear, own_folder: Path) -> None:
    ear.ask("/lasso/query", "an electric guitar", answer="/lasso/done")
    ear.ask("/lasso/slot/1/name", "lead", answer="/lasso/done")
    ear.ask("/lasso/slot/2/query", "drums", answer="/lasso/done")
    ear.send("/lasso/preset/save", "mine")
    ear.wait("/lasso/done", LOAD_LIMIT_S)
    stems = {stem.name: stem.queries for stem in load_preset("mine").stems}
    assert stems == {"lead": ("an electric guitar",), "drums": ("drums",)}
