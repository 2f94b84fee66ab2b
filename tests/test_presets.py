"""Presets: what is read is what was written, and every mistake is told with its place.

Independent reference: jsonschema judges the shipped files by the schema.
"""

import dataclasses
import tomllib
from pathlib import Path

import jsonschema
import pytest

from soundlasso.bridge.naming import FIELDS
from soundlasso.bridge.presets import library
from soundlasso.bridge.presets.chains import Link, effects, make_items, parameters
from soundlasso.bridge.presets.library import find_presets, load_preset, save_preset
from soundlasso.bridge.presets.preset import Preset, Stem, Strip
from soundlasso.bridge.presets.problems import find_line
from soundlasso.bridge.presets.reading import parse_preset, write_preset
from soundlasso.bridge.presets.schema import preset_schema
from soundlasso.dsp.errors import PresetError, UnknownPresetError

SHIPPED = (
    "band", "call-centre", "dialogue-music-effects", "drums-out", "field-recording", "forensic-listening",
    "hearing-support", "one-sound", "podcast", "remix-four", "speech-enhance", "video-call", "vocal-down",
    "voice-assistant",
)  # fmt: skip
DRUMS = '[stem.drums]\nquery = "drums"\n'
EVERYTHING = """
description = "all of it"
model = "audiosep"
profile = "live"
stereo = "independent"
gate = false
consistent = false

[stem."lead voice"]
query = ["a voice", "a choir"]
avoid = ["a guitar"]
gate_threshold = 0.4
gain_db = -3
pan = -0.5
duck_db = -6
write = false
chain = [{ effect = "LadderFilter", mode = "HPF24", cutoff_hz = 300 }, { plugin = "ZaMaximX2", gain = 4.0 }]

[stem.drums]
query = "drums"
remove = true

[rest]
gain_db = 2.5

[mix]
write = true
chain = [{ effect = "Reverb", room_size = 0.4 }]

[output]
format = "flac"
subtype = "PCM_24"
sample_rate = 16000
name = "{folder}/{preset}/{mix} - {stem}"
loudness_lufs = -16
true_peak_db = -2
pictures = true
report = true
sessions = ["dawproject", "rpp"]
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(library.CONFIG_VARIABLE, str(tmp_path / "config"))
    return tmp_path / "config" / "presets"


def mistake(text: str, *overrides: str) -> str:
    with pytest.raises(PresetError) as caught:
        parse_preset(text, "my.toml", overrides=overrides)
    return str(caught.value)


def test_fourteen_presets_ship() -> None:
    assert tuple(find_presets()) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_survives_writing_and_keeps_the_schema(name: str) -> None:
    preset = load_preset(name)
    assert parse_preset(write_preset(preset)) == preset
    assert preset.name == name
    assert 20 < len(preset.summary) < 110
    assert "With lariat: " in preset.description
    assert name == "one-sound" or "AudioSep's " in preset.description
    for text in (find_presets()[name].path.read_text(encoding="utf-8"), write_preset(preset)):
        jsonschema.validate(tomllib.loads(text), preset_schema())


def test_every_setting_survives_writing() -> None:
    preset = parse_preset(EVERYTHING, name="everything")
    assert parse_preset(write_preset(preset)) == preset
    jsonschema.validate(tomllib.loads(EVERYTHING), preset_schema())
    voice = preset.stems[0]
    assert (voice.name, voice.queries, voice.avoid) == ("lead voice", ("a voice", "a choir"), ("a guitar",))
    assert [stem.is_written for stem in preset.stems] == [False, False]
    plain = Preset(stems=(Stem(name="x", queries=("x",)),))
    pairs = [(preset, plain), (voice, plain.stems[0]), (preset.mix, plain.mix), (preset.output, plain.output)]
    for part, usual in pairs:
        for field in dataclasses.fields(part):
            if field.name not in ("rest", "remove"):
                assert getattr(part, field.name) != getattr(usual, field.name), field.name


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(preset_schema())


@pytest.mark.parametrize(
    "text",
    ['gain = 3\n' + DRUMS, DRUMS + "gain_db = 99", DRUMS + 'chain = [{effect = "Reverbb"}]', "gate = true",
     DRUMS + 'chain = [{effect = "Reverb", size = 1}]', DRUMS + '[output]\nformat = "mp3"',
     DRUMS + "query = 3"],
)  # fmt: skip
def test_the_schema_and_the_reader_refuse_alike(text: str) -> None:
    text = text.replace('query = "drums"\nquery = 3', "query = 3")
    mistake(text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), preset_schema())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('modle = "x"\n' + DRUMS, "my.toml, line 1: modle is no setting; did you mean 'model'?"),
        (DRUMS + "gian_db = 3", "my.toml, line 3: stem.drums.gian_db is no setting; did you mean 'gain_db'?"),
        (DRUMS + "gain_db = 41", "line 3: stem.drums.gain_db is 41; it must be at most 40"),
        (DRUMS + "pan = -1.5", "line 3: stem.drums.pan is -1.5; it must be at least -1"),
        (DRUMS + "gain_db = nan", "stem.drums.gain_db is nan; it must be a number"),
        (DRUMS + "gain_db = true", "stem.drums.gain_db is True; it must be a number"),
        (DRUMS + "remove = 1", "stem.drums.remove is 1; it must be true or false"),
        ('stereo = "linkd"\n' + DRUMS, "line 1: stereo is 'linkd'; did you mean 'linked'?"),
        ("[stem.drums]\ngain_db = 3", "line 1: stem.drums.query is missing"),
        ('[stem.drums]\nquery = " "', "line 2: stem.drums.query cannot be a query: the query ' ' is empty"),
        ("[stem.drums]\nquery = []", "stem.drums.query is empty; name at least one sound"),
        ('[stem.a]\nquery = ["x", "x"]', "stem.a.query has 'x', which is asked for twice"),
        ('[stem.rest]\nquery = "x"', "line 1: stem.rest is no name for a stem: it is taken"),
        ("gate = true", "stem is missing"),
        ("[stem]", "stem is empty; name at least one sound, as [stem.drums]"),
        ("stem = 3", "line 1: stem is 3; it must be tables, as [stem.drums]"),
        ("[[stem]]\nquery = 'x'", "it must be tables, as [stem.drums]"),
        ("rest = 3\n" + DRUMS, "line 1: rest is 3; it must be a table"),
        (DRUMS + "chain = [3]", 'stem.drums.chain[0] is 3; it must be a table such as {effect = "Reverb"}'),
        (DRUMS + "chain = [{ratio = 3}]", "has ratio; it must have either effect or plugin"),
        ("[stem.a]\nquery = 3", "line 2: stem.a.query is 3; it must be a text or a list of texts"),
        (DRUMS + "chain = 3", "stem.drums.chain is 3; it must be a list of effects"),
        (DRUMS + 'chain = [{effect = "Compresor"}]',
         "chain[0].effect is 'Compresor'; did you mean 'Compressor'?"),
        (DRUMS + 'chain = [{effect = "PitchShift"}]', "is 'PitchShift'; which falls silent in a stream"),
        (DRUMS + 'chain = [\n{effect = "Gain"},\n{effect = "Compressor", ration = 3},\n]',
         "line 5: stem.drums.chain[1].ration is no parameter of Compressor; did you mean 'ratio'?"),
        (DRUMS + 'chain = [\n{effect = "Gain"},\n{effect = "Compressor", ratio = 0.5},\n]',
         "line 5: stem.drums.chain[1].ratio is 0.5, which pedalboard refuses: Compressor ratio must be"),
        (DRUMS + 'chain = [{effect = "LadderFilter", mode = "LPF13"}]', "is 'LPF13'; did you mean 'LPF12'?"),
        (DRUMS + 'chain = [{effect = "Convolution", impulse_response_filename = "no.wav"}]',
         "chain[0].impulse_response_filename is 'no.wav', which pedalboard refuses"),
        (DRUMS + 'chain = [{plugin = "X", a = [1]}]', "chain[0].a must be a number, text, or true or false"),
        (DRUMS + '[output]\nname = "{mx}"', "line 4: output.name no field {mx} in name template '{mx}'"),
        (DRUMS + '[output]\nname = "{mix}"', "output.name is '{mix}', which gives all files one name"),
        (DRUMS + '[output]\nformat = "flac"\nsubtype = "FLOAT"', "line 5: output.subtype flac does not hold"),
        (DRUMS + "[output]\nsample_rate = 8000.5", "output.sample_rate is 8000.5; it must be a whole number"),
        (DRUMS + "[output]\nloudness_lufs = -16", "output.loudness_lufs is the mix's, which is not written"),
        (DRUMS + '[output]\nsessions = ["rppp"]', "output.sessions is 'rppp'; did you mean 'rpp'?"),
        (DRUMS + "remove = true\n[rest]\nwrite = false", "writes no file; set write = true in [mix]"),
        ("gate = ", "my.toml is no valid TOML: Invalid value (at end of document)"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(text: str, told: str) -> None:
    message = mistake(text)
    assert told in message
    assert "\n" not in message


def test_all_mistakes_come_in_one_error() -> None:
    text = 'modle = "x"\ngate = 3\n[stem.a]\nquery = "x"\npan = 4\n[stem.b]\nchain = [{ effect = "Gan" }]\n'
    assert mistake(text, "rest.pan=left").splitlines() == [
        "my.toml has 6 mistakes:",
        "  line 1: modle is no setting; did you mean 'model'?",
        "  line 2: gate is 3; it must be true or false",
        "  line 5: stem.a.pan is 4; it must be at most 1",
        "  line 6: stem.b.query is missing",
        "  line 7: stem.b.chain[0].effect is 'Gan'; did you mean 'Gain'?",
        "  --set 'rest.pan=left': rest.pan is 'left'; it must be a number",
    ]


def test_lines_are_found_past_strings_that_look_like_settings() -> None:
    text = 'description = """\npan = 3\n[rest]\n"""\n\n# [rest]\n[rest]\n# pan = 1\npan = 9\n'
    assert find_line(text, ("rest", "pan")) == 9
    assert find_line(text, ("rest",)) == 7
    assert find_line(text, ("description",)) == 1
    assert find_line(text, ("mix",)) is None


def test_a_preset_made_in_python_is_checked_too() -> None:
    with pytest.raises(PresetError, match="gain_db is 99; it must be at most 40"):
        Strip(gain_db=99)
    with pytest.raises(PresetError, match="taken"):
        Preset(stems=(Stem(name="Mix", queries=("x",)),))
    assert Stem(name="a", queries=" x ").queries == ("x",)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("stem.voice.gain_db=-3", lambda preset: preset.stems[0].gain_db == -3.0),
        ("stem.voice.chain[1].q=2", lambda preset: preset.stems[0].chain[1].parameters["q"] == 2),
        ("stem.voice.chain.1.q = 2", lambda preset: preset.stems[0].chain[1].parameters["q"] == 2),
        ("stem.voice.query=a woman talking", lambda preset: preset.stems[0].queries == ("a woman talking",)),
        ('stem.dog.query=["a dog", "a wolf"]', lambda preset: preset.stems[1].queries == ("a dog", "a wolf")),
        ("gate=true", lambda preset: preset.gate),
        ("output.format=flac", lambda preset: preset.output.format == "flac"),
    ],
)  # fmt: skip
def test_a_setting_can_be_changed_from_outside(override: str, found: object) -> None:
    assert callable(found) and not found(load_preset("podcast", ["stem.dog.query=cow"]))
    assert found(load_preset("podcast", [override]))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("stem.voice", "cannot set 'stem.voice'; an example is stem.drums.gain_db=-3"),
        ("=3", "cannot set '=3'"),
        ("stem.voice.chain[9].q=2", "there is no 'stem.voice.chain[9].q' in the preset"),
        ("stem.voice.chain[4]=2", "there is no 'stem.voice.chain[4]' in the preset"),
        ("gate.x=2", "there is no 'gate.x' in the preset"),
        ("stem.voise.gain_db=2", "--set 'stem.voise.gain_db=2': stem.voise.query is missing"),
        (
            "output.formt=flac",
            "--set 'output.formt=flac': output.formt is no setting; did you mean 'format'?",
        ),
    ],
)
def test_a_wrong_change_is_told(override: str, told: str) -> None:
    text = find_presets()["podcast"].path.read_text(encoding="utf-8")
    assert told in mistake(text, override)


@pytest.mark.parametrize("path", ["stem.1.gain_db", 'stem."1".gain_db'])
def test_a_stem_may_be_called_by_a_number(path: str) -> None:
    preset = parse_preset('[stem.1]\nquery = "drums"', overrides=[f"{path}=-3", "stem.2.query=a dog"])
    assert [(stem.name, stem.gain_db) for stem in preset.stems] == [("1", -3.0), ("2", 0.0)]


def test_your_own_preset_hides_a_shipped_one(own_folder: Path) -> None:
    saved = save_preset(parse_preset(EVERYTHING, name="podcast"))
    assert saved == own_folder / "podcast.toml"
    assert find_presets()["podcast"] == (saved, True)
    assert load_preset("podcast").model == "audiosep"
    assert list(own_folder.iterdir()) == [saved]


def test_a_preset_is_never_lost_by_saving(own_folder: Path) -> None:
    preset = load_preset("band")
    save_preset(preset)
    with pytest.raises(PresetError, match="a preset 'band' is there already"):
        save_preset(preset)
    save_preset(dataclasses.replace(preset, gate=False), overwrite=True)
    assert not load_preset("band").gate
    for name in ("../x", "a/b", "", "NUL", ".hidden"):
        with pytest.raises(PresetError, match="cannot be a file's"):
            save_preset(dataclasses.replace(preset, name=name))


def test_unknown_and_unreadable_presets_are_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownPresetError, match="no preset 'podcats'; did you mean 'podcast'"):
        load_preset("podcats")
    with pytest.raises(PresetError, match="cannot read preset"):
        load_preset(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'description = "\xe9"')
    with pytest.raises(PresetError, match="is not text in UTF-8"):
        load_preset(tmp_path / "latin.toml")


def test_every_effect_that_may_be_named_can_be_made() -> None:
    assert {"Compressor", "Reverb", "BrickwallLimiter"} < set(effects())
    for name in effects():
        known = parameters(name)
        if None not in known.values():
            usual = {key: value[0] if isinstance(value, tuple) else value for key, value in known.items()}
            (made,) = make_items([Link("effect", name, usual)])
            assert type(made).__name__ == name


def test_file_names_may_use_the_stem_and_the_preset() -> None:
    assert {"stem", "preset"} <= set(FIELDS)


@pytest.mark.parametrize("value", ['["a', "{a", '"a', '["a", b]'])
def test_a_value_that_was_meant_to_be_toml_is_no_text(value: str) -> None:
    told = mistake(DRUMS, f"stem.drums.query={value}")
    assert f'{value!r} is no valid TOML; a list is given as in --set \'stem.drums.query=["drums", ' in told


def test_a_template_that_begins_with_a_field_is_a_text() -> None:
    preset = parse_preset(DRUMS, overrides=["output.name={mix}/{stem}"])
    assert preset.output.name == "{mix}/{stem}"
