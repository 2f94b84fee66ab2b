"""Presets at work: boards and files, with lariat itself, on two seconds of the demo.

Tolerances: stems and rest null to -120 dBFS in float and exactly in integers; a neutral board is the input to
2e-6 of full scale, and any chunking equals the whole to 5e-6, which compressors make of 1e-6; what another
rate gives is soxr's own in one go to 1e-5; loudness is met to 0.15 LU.  Independent references: scipy's
polyphase filters for the true peak, pyloudnorm for the loudness, soxr in one go for the rate.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard
import pyloudnorm
import pytest
import soundfile
import soxr
import wavinfo
from scipy import signal

import soundlasso
from soundlasso.bridge.audiofile import read_audio
from soundlasso.bridge.effect import StreamSpec
from soundlasso.bridge.presets.hearing import PresetStream, plan_hearings
from soundlasso.bridge.presets.library import CONFIG_VARIABLE, load_preset, shipped_folder
from soundlasso.bridge.presets.preset import Output, Preset, Stem
from soundlasso.bridge.presets.reading import parse_preset
from soundlasso.bridge.presets.remix import Remix
from soundlasso.bridge.presets.rendering import plan_preset, settings_of
from soundlasso.bridge.presets.tracks import resampled_frames
from soundlasso.bridge.render_result import RenderResult, StemResult
from soundlasso.dsp.errors import Cancelled
from soundlasso.dsp.metrics import null_depth_db
from soundlasso.dsp.true_peak import true_peak
from soundlasso.models.offline import separate
from soundlasso.models.separator import Separator
from soundlasso.models.stream import SeparationStream
from tests.signals import Audio, blocks, noise

DEMO = Path(__file__).parent.parent / "examples" / "demo.flac"
RATE = 44100
LENGTH = 2 * RATE + 17
NULL_DB = -120.0
SAME = 2e-6
CHUNKED = 5e-6
RESAMPLED = 1e-5
LOUDNESS_LU = 0.15
NEUTRAL = '[stem.a]\nquery = "drums"\n[stem.b]\nquery = ["a voice", "a dog"]\n[mix]\nwrite = true\n'
ALL = tuple(sorted(path.stem for path in shipped_folder().glob("*.toml")))


@pytest.fixture(autouse=True)
def only_shipped_presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "config"))


@pytest.fixture(scope="module")
def mixture() -> Audio:
    audio, _ = soundfile.read(DEMO, start=2 * RATE, frames=LENGTH, dtype="float32", always_2d=True)
    return np.ascontiguousarray(audio.T, np.float32)


@pytest.fixture
def mix(tmp_path: Path, mixture: Audio) -> Path:
    path = tmp_path / "talk.wav"
    soundfile.write(path, mixture.T, RATE, subtype="PCM_24")
    return path


def read(part: StemResult | None) -> Audio:
    assert part is not None and part.path is not None
    return read_audio(part.path)[0]


def parts(result: RenderResult) -> Audio:
    return np.stack([read(part) for part in (*result.stems, result.rest)])


@pytest.mark.parametrize("name", ["podcast", "band", "hearing-support", "call-centre"])
@pytest.mark.parametrize("size", [509, 20_000])
def test_a_board_in_any_chunking_equals_the_whole(name: str, size: int, mixture: Audio) -> None:
    board = load_preset(name).board()
    whole = board(mixture, RATE)
    assert whole.shape == mixture.shape
    chunked = np.concatenate([*board.stream(blocks(mixture, size), RATE)], axis=1)
    np.testing.assert_allclose(chunked, whole, atol=CHUNKED)


@pytest.mark.parametrize("consistent", [True, False])
def test_a_neutral_preset_is_the_mix(consistent: bool, mixture: Audio) -> None:
    preset = dataclasses.replace(parse_preset(NEUTRAL), consistent=consistent)
    np.testing.assert_allclose(preset.board()(mixture, RATE), mixture, atol=SAME)


def test_a_board_does_what_the_preset_says(mixture: Audio) -> None:
    preset = parse_preset(
        '[stem.drums]\nquery = "drums"\ngain_db = -6\npan = 0.5\nduck_db = -2\n'
        'chain = [{effect = "Invert"}]\n'
        '[stem.voice]\nquery = "a voice"\nremove = true\n[rest]\nduck_db = -12\n'
        '[mix]\nwrite = true\nchain = [{effect = "Gain", gain_db = 3}]'
    )
    drums, voice = separate(mixture, RATE, ["drums", "a voice"], consistent=True)
    sides = np.array([[0.5], [1.0]])
    wanted = -drums * sides * 10 ** (-8 / 20) + (mixture - drums - voice) * 10 ** (-12 / 20)
    np.testing.assert_allclose(preset.board()(mixture, RATE), wanted * 10 ** (3 / 20), atol=SAME)


def test_strips_can_be_edited_while_they_play(mixture: Audio) -> None:
    board = soundlasso.load_preset("podcast").board()
    remix = board[0]
    assert list(remix) == ["voice", "rest"]  # type: ignore[arg-type]
    remix["voice"].append(pedalboard.Gain(-120))  # type: ignore[index]
    remix["rest"].append(pedalboard.Gain(-120))  # type: ignore[index]
    assert np.abs(board(mixture, RATE)).max() < 1e-4
    with pytest.raises(KeyError, match="no strip 'drums'; there are voice, rest"):
        remix["drums"]  # type: ignore[index]


def test_a_remix_that_is_cleared_in_mid_stream_is_as_new(mixture: Audio) -> None:
    preset = parse_preset(
        '[stem.a]\nquery = "drums"\nchain = [{effect = "Reverb"}]\n[rest]\nduck_db = -3\n[mix]\nwrite = true'
    )
    remix, spec = Remix(preset), StreamSpec(RATE, 2, 4096)

    def play() -> Audio:
        return np.concatenate([*(remix.push(block) for block in spec.blocks(mixture)), remix.drain()], axis=1)

    remix.start(spec)
    fresh = play()
    remix.push(mixture[:, :30001])
    remix.clear()
    np.testing.assert_allclose(play(), fresh, atol=SAME)


def test_each_stem_has_its_own_rivals(lariat: Separator, mixture: Audio) -> None:
    stems = (
        Stem(name="a", queries=("drums",), avoid=("a dog",)),
        Stem(name="b", queries=("a voice", "a choir")),
        Stem(name="c", queries=("a violin",)),
    )
    preset = Preset(stems=stems, consistent=False, gate=False)
    assert len(plan_hearings(preset)) == 3
    stream = PresetStream(preset, lariat, RATE, 2)
    late = np.concatenate([stream.process(mixture), stream.flush()], axis=2)
    found = late[..., stream.latency_samples :]
    gate = False
    np.testing.assert_allclose(
        found[0], separate(mixture, RATE, "drums", avoid=["a dog"], gate=gate), atol=SAME
    )
    both = separate(mixture, RATE, ["a voice", "a choir"], consistent=True, gate=gate)
    np.testing.assert_allclose(found[1], both.sum(0), atol=SAME)
    np.testing.assert_allclose(found[2], separate(mixture, RATE, "a violin", gate=gate), atol=SAME)
    assert stream.presence.shape == (3,)


def test_a_stem_of_many_sounds_is_as_sure_as_the_surest_of_them(lariat: Separator, mixture: Audio) -> None:
    texts = ("a violin", "a man speaking", "a dog barking")
    alone = SeparationStream(lariat, texts, RATE, 2, consistent=True)
    stream = PresetStream(Preset(stems=(Stem(name="a", queries=texts),)), lariat, RATE, 2)
    alone.process(mixture)
    stream.process(mixture)
    assert np.ptp(alone.presence) > 0.05, "all alike tell nothing"
    np.testing.assert_allclose(stream.presence, [alone.presence.max()], atol=SAME)
    wanted = alone.take_presence().max(0, keepdims=True)
    np.testing.assert_allclose(stream.take_presence(), wanted, atol=SAME)


def test_competing_stems_take_no_more_than_there_is(lariat: Separator, mixture: Audio) -> None:
    stems = (Stem(name="a", queries=("drums",), avoid=("a dog",)), Stem(name="b", queries=("a snare drum",)))
    preset = Preset(stems=stems, gate=False)
    first, second = plan_hearings(preset)
    assert (first.queries, first.avoid, first.rows) == (("drums", "a snare drum"), ("a dog",), ((0, 0),))
    assert (second.queries, second.avoid, second.rows) == (("drums", "a snare drum"), (), ((1, 1),))
    stream = PresetStream(preset, lariat, RATE, 2)
    late = np.concatenate([stream.process(mixture), stream.flush()], axis=2)
    rivals = separate(mixture, RATE, ["drums", "a snare drum"], avoid=["a dog"], consistent=True, gate=False)
    np.testing.assert_allclose(late[0, :, stream.latency_samples :], rivals[0], atol=SAME)


@pytest.mark.parametrize("name", ALL)
def test_a_shipped_preset_renders_what_it_says(name: str, mix: Path, tmp_path: Path) -> None:
    preset = load_preset(name, ["output.pictures=false", "output.report=false"])
    result = preset.render(mix, tmp_path / "out", length_s=1.0)
    frames = resampled_frames(RATE, RATE, preset.output.sample_rate or RATE)
    written = [part.path for part in result.parts if part.path is not None]
    assert len(written) == sum(s.is_written for s in (*preset.stems, preset.rest)) + preset.mix.write
    for path in written:
        info = soundfile.info(path)
        assert (info.samplerate, info.frames, info.channels) == (result.sample_rate, frames, 2)
    assert preset.render(mix, tmp_path / "out", length_s=1.0, existing="skip").skipped
    if preset.rest.is_written and all(stem.is_written for stem in preset.stems):
        assert result.null_db is not None and result.null_db <= NULL_DB


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
def test_neutral_stems_and_rest_add_up_to_the_mix(
    mix: Path, mixture: Audio, tmp_path: Path, subtype: str
) -> None:
    preset = parse_preset(NEUTRAL + f'[output]\nsubtype = "{subtype}"')
    result = preset.render(mix, tmp_path / "out")
    assert result.mixdown is not None
    if subtype == "PCM_16":
        whole = np.round(mixture * 2**15) / 2**15
        assert np.abs(parts(result).sum(0, dtype=np.float64) - whole).max() <= 2**-15
    else:
        assert null_depth_db(mixture, parts(result)) <= NULL_DB
        assert result.null_db is not None and result.null_db <= NULL_DB
        np.testing.assert_allclose(read(result.mixdown), mixture, atol=SAME)


def test_the_rest_adds_up_whatever_becomes_of_the_stems(mix: Path, mixture: Audio, tmp_path: Path) -> None:
    preset = parse_preset(NEUTRAL, overrides=["stem.a.gain_db=-6", "stem.b.write=false"])
    result = preset.render(mix, tmp_path / "out")
    assert result.null_db is None
    drums, voice, dog = separate(mixture, RATE, ["drums", "a voice", "a dog"], consistent=True)
    np.testing.assert_allclose(read(result.stems[0]), drums * 10 ** (-6 / 20), atol=SAME)
    np.testing.assert_allclose(read(result.rest), mixture - drums - voice - dog, atol=SAME)
    assert result.stems[1].path is None and result.stems[1].peak_db > -60


def test_the_mix_file_is_what_the_board_gives(mix: Path, mixture: Audio, tmp_path: Path) -> None:
    preset = load_preset("video-call", ["output.subtype=FLOAT"])
    rendered = read(preset.render(mix, tmp_path / "out").mixdown)
    np.testing.assert_allclose(rendered, preset.board()(mixture, RATE), atol=CHUNKED)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_another_rate_is_the_sound_at_that_rate(mix: Path, mixture: Audio, tmp_path: Path, rate: int) -> None:
    preset = parse_preset(NEUTRAL + f"[output]\nsample_rate = {rate}")
    result = preset.render(mix, tmp_path / "out")
    wanted = soxr.resample(mixture.T, RATE, rate, "VHQ").T
    frames = round(LENGTH * rate / RATE)
    assert parts(result).shape == (3, 2, frames)
    shorter = min(frames, wanted.shape[1])
    total = parts(result).sum(0)[:, :shorter]
    np.testing.assert_allclose(total, wanted[:, :shorter], atol=RESAMPLED)
    assert abs(frames - wanted.shape[1]) <= 1


@pytest.mark.parametrize(("target_lufs", "ceiling_db"), [(-16.0, -1.0), (-23.0, -2.0), (-12.0, -3.0)])
@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
def test_the_mix_meets_its_loudness_below_the_ceiling(
    mix: Path, tmp_path: Path, target_lufs: float, ceiling_db: float, subtype: str
) -> None:
    preset = load_preset(
        "podcast",
        [
            f"output.loudness_lufs={target_lufs}",
            f"output.true_peak_db={ceiling_db}",
            f"output.subtype={subtype}",
        ],
    )
    mastered = read(preset.render(mix, tmp_path / "out").mixdown)
    assert pyloudnorm.Meter(RATE).integrated_loudness(mastered.T) == pytest.approx(
        target_lufs, abs=LOUDNESS_LU
    )
    oversampled = signal.resample_poly(mastered.astype(np.float64), 16, 1, axis=1)
    assert 20 * np.log10(np.abs(oversampled).max()) <= ceiling_db + 0.02  # another filter, more points
    assert true_peak(mastered, RATE) <= ceiling_db
    bext: Any = wavinfo.WavInfoReader(str(tmp_path / "out" / "talk - mix.wav")).bext
    assert bext.max_true_peak == pytest.approx(true_peak(mastered, RATE), abs=0.0051)
    assert bext.loudness_value == pytest.approx(target_lufs, abs=LOUDNESS_LU)
    assert [path.suffix for path in (tmp_path / "out").iterdir()].count(".part") == 0


def test_a_nearly_silent_recording_is_turned_up_by_40_db_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "hiss.wav"
    hiss = noise(1, 2 * RATE) * np.float32(10 ** (-44 / 20))
    soundfile.write(path, hiss.T, RATE, subtype="FLOAT")
    before = pyloudnorm.Meter(RATE).integrated_loudness(hiss.T)
    assert -68 < before < -56, "between the gate of the measure and 40 dB below the target"
    result = parse_preset(NEUTRAL + "[output]\nloudness_lufs = -12").render(path, tmp_path / "out")
    after = pyloudnorm.Meter(RATE).integrated_loudness(read(result.mixdown).T)
    assert after - before == pytest.approx(40, abs=LOUDNESS_LU)
    (told,) = result.warnings
    assert "LUFS, not -12: it is turned up by 40 dB, and more would be noise; record it louder" in told


def test_a_loudness_that_peaks_forbid_is_told(tmp_path: Path) -> None:
    path = tmp_path / "clicks.wav"
    clicks = np.zeros((1, 2 * RATE), np.float32)
    clicks[0, ::2000] = 0.5
    soundfile.write(path, clicks.T, RATE, subtype="FLOAT")
    preset = parse_preset(NEUTRAL + "[output]\nloudness_lufs = -5")
    result = preset.render(path, tmp_path / "out")
    assert true_peak(read(result.mixdown), RATE) <= -1
    (told,) = result.warnings
    assert "LUFS, not -5: its peaks may not exceed -1 dBTP" in told


@pytest.mark.parametrize("length", [1, 100, 9000])
def test_silence_and_very_short_mixes_are_mastered_too(tmp_path: Path, length: int) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, np.zeros((length, 1)), 8000, subtype="FLOAT")
    result = load_preset("call-centre").render(path, tmp_path / "out")
    assert read(result.mixdown).shape == (1, length)
    assert np.abs(read(result.mixdown)).max() <= 1 / 2**15


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_a_mix_is_mastered_in_a_folder_whose_name_is_no_utf8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xe4rz"))
    folder.mkdir()
    soundfile.write(tmp_path / "talk.wav", noise(1, 8000).T, 8000)
    result = load_preset("podcast").render(tmp_path / "talk.wav", folder)
    assert result.mixdown is not None and result.mixdown.path is not None
    assert result.mixdown.path.parent == folder


def test_cancelling_leaves_nothing_of_a_mastered_mix(mix: Path, tmp_path: Path) -> None:
    class Late:
        calls = 0

        def is_set(self) -> bool:
            self.calls += 1
            return self.calls > 3

    with pytest.raises(Cancelled):
        load_preset("podcast").render(mix, tmp_path / "out", cancel=Late())
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_change_of_the_preset_is_rendered_anew(mix: Path, tmp_path: Path) -> None:
    def again(*changes: str) -> bool:
        preset = load_preset("drums-out", changes)
        return preset.render(mix, tmp_path / "out", length_s=0.3, existing="skip").skipped

    assert not again()
    assert again()
    assert again("description=other words")
    assert not again("stem.drums.query=a snare drum")
    assert again("stem.drums.query=a snare drum")


def test_another_impulse_response_of_the_same_name_is_rendered_anew(mix: Path, tmp_path: Path) -> None:
    impulse = tmp_path / "room.wav"
    link = f'{{ effect = "Convolution", impulse_response_filename = "{impulse.as_posix()}" }}'

    def again(level: float) -> bool:
        soundfile.write(impulse, np.full(100, level), RATE)
        preset = parse_preset(f'[stem.a]\nquery = "drums"\n[rest]\nchain = [{link}]')
        return preset.render(mix, tmp_path / "out", length_s=0.3, existing="skip").skipped

    assert [again(level) for level in (0.1, 0.1, 0.2, 0.2)] == [False, True, False, True]


def test_a_skipped_render_has_the_rate_of_its_files(mix: Path, tmp_path: Path) -> None:
    first, second = (
        load_preset("voice-assistant").render(mix, tmp_path / "out", length_s=0.3, existing="skip")
        for _ in range(2)
    )
    assert second.skipped
    assert second.to_dict() == first.to_dict()
    assert second.sample_rate == 16000


def test_a_single_file_keeps_the_name_it_is_given(mix: Path) -> None:
    preset = load_preset("podcast", ['output.name="{mix} clean"'])
    (path,) = plan_preset(mix, "out", settings_of(preset)).audio_files
    assert path.name == "talk clean.wav"


def test_names_may_use_folders_stems_and_the_preset(mix: Path, tmp_path: Path) -> None:
    preset = load_preset("band", ["output.name={preset}/{stem}/{mix} {query}"])
    result = preset.render(mix, tmp_path / "out", length_s=0.2)
    guitar = result.stems[2]
    assert guitar.path == tmp_path / "out/band/guitar/talk acoustic guitar, electric guitar.wav"
    assert (guitar.name, guitar.query) == ("guitar", "acoustic guitar, electric guitar")


def test_the_true_peak_lies_between_the_samples() -> None:
    quarter = (
        np.tile([1.0, 1.0, -1.0, -1.0], 2000)[None].astype(np.float32) * 0.5
    )  # a sine sampled at 45 degrees
    inside = quarter * np.hanning(quarter.shape[1]).astype(np.float32)
    assert true_peak(inside, RATE) == pytest.approx(20 * np.log10(0.5 * np.sqrt(2)), abs=0.05)
    assert true_peak(np.zeros((2, 0), np.float32), RATE) == -np.inf
    loud = noise(1, 5000)
    assert true_peak(loud, RATE) >= 20 * np.log10(np.abs(loud).max()) - 1e-6


def test_defaults_are_the_formats_own() -> None:
    assert (Output().format, Output().subtype, Output().sample_rate) == ("wav", None, None)


def test_sixteen_bit_stems_and_rest_add_up_to_a_sixteen_bit_mix_exactly(
    tmp_path: Path, mixture: Audio
) -> None:
    path = tmp_path / "talk.wav"
    soundfile.write(path, mixture.T, RATE, subtype="PCM_16")
    result = parse_preset(NEUTRAL + '[output]\nsubtype = "same"').render(path, tmp_path / "out")
    np.testing.assert_array_equal(parts(result).sum(0, dtype=np.float64), read_audio(path)[0])
    assert result.null_db == -np.inf


def test_a_removed_sound_is_in_no_file(mix: Path, mixture: Audio, tmp_path: Path) -> None:
    result = load_preset("drums-out", ["rest.write=true"]).render(mix, tmp_path / "out")
    wanted = mixture - separate(mixture, RATE, "drums", consistent=True)
    np.testing.assert_allclose(read(result.mixdown), wanted, atol=SAME)
    np.testing.assert_allclose(read(result.rest), wanted, atol=SAME)


def test_late_effects_lose_nothing_of_the_mix(mix: Path, mixture: Audio, tmp_path: Path) -> None:
    late = 'chain=[{ effect = "BrickwallLimiter", ceiling_db = -0.1 }]'
    preset = parse_preset(NEUTRAL, overrides=[f"mix.{late}", f"stem.a.{late}"])
    result = preset.render(mix, tmp_path / "out")
    np.testing.assert_allclose(read(result.mixdown), mixture, atol=SAME)


def test_each_stem_has_its_own_gate_threshold(lariat: Separator) -> None:
    stems = tuple(
        Stem(name=name, queries=(name,), gate_threshold=at) for name, at in (("a", 0.2), ("b", 0.7))
    )
    (hearing,) = plan_hearings(Preset(stems=stems))
    assert hearing.gate_thresholds == (0.2, 0.7)
    shut = (dataclasses.replace(stems[0], gate_threshold=1), dataclasses.replace(stems[1], gate_threshold=0))
    stream = PresetStream(Preset(stems=shut), lariat, RATE, 1)
    audio = stream.process(noise(1, RATE, level=0.1))
    assert not audio[0].any() and audio[1].any()
