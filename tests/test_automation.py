"""Changes in the course of a render, against a stream that is told at that very sample."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.automation import Change, automated
from soundlasso.bridge.render import render
from soundlasso.bridge.render_result import RenderResult
from soundlasso.dsp.errors import QueryError, SoundlassoError
from soundlasso.models.stream import SeparationStream

DEMO = Path(__file__).parents[1] / "examples" / "demo.flac"
TOLERANCE = 1e-6  # of full scale; blocks are cut elsewhere
LENGTH_S = 4.0
CHANGES = (
    Change(2.5, "gate", False),
    Change(1.0, "query", "a dog barking"),
    Change(1.0, "avoid", ("a violin",)),
    Change(3.0, "gate_threshold", 0.1),
)


def read(seconds: float) -> tuple[np.ndarray, int]:
    rate = soundfile.info(DEMO).samplerate
    audio, _ = soundfile.read(DEMO, round(seconds * rate), dtype="float32", always_2d=True)
    return audio.T, rate


def told_by_hand(mix: np.ndarray, rate: int, piece: int) -> np.ndarray:
    """Do the changes by hand, between pieces that are cut where they are."""
    stream = SeparationStream("lariat", ["drums"], rate, mix.shape[0])
    cuts = sorted({*range(0, mix.shape[1], piece), rate, round(2.5 * rate), 3 * rate, mix.shape[1]})
    stems = []
    for first, last in itertools.pairwise(cuts):
        if first == rate:
            stream.queries, stream.avoid = ["a dog barking"], ["a violin"]
        elif first == round(2.5 * rate):
            stream.gate = False
        elif first == 3 * rate:
            stream.gate_threshold = 0.1
        stems.append(stream.process(mix[:, first:last]))
    stems.append(stream.flush())
    return np.concatenate(stems, axis=2)[0, :, stream.latency_samples :]


def first_stem(result: RenderResult) -> np.ndarray:
    path = result.stems[0].path
    assert path is not None
    stem, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(stem.T)


def test_a_render_changes_at_the_sample(tmp_path: Path) -> None:
    mix, rate = read(LENGTH_S)
    result = render(DEMO, "drums", tmp_path, length_s=LENGTH_S, changes=CHANGES)
    stem = first_stem(result)
    np.testing.assert_allclose(stem, told_by_hand(mix, rate, 5000), atol=TOLERANCE)
    plain = render(DEMO, "drums", tmp_path / "plain", length_s=LENGTH_S)
    before = first_stem(plain)
    untouched = round(0.9 * rate)  # a transform before the first change
    np.testing.assert_allclose(stem[:, :untouched], before[:, :untouched], atol=TOLERANCE)
    assert np.abs(stem - before)[:, untouched:].max() > 0.01
    assert result.null_db is not None and result.null_db < -120


def test_blocks_are_cut_where_something_changes() -> None:
    stream = SeparationStream("lariat", ["a voice"], 1000, 1)
    blocks = np.array_split(np.arange(1000, dtype=np.float32)[None], [1, 500, 500, 900], axis=1)
    late, now, never = (Change(at_s, "query", f"sound {at_s:g}") for at_s in (0.5, 0.0, 1.0))
    passed = automated(stream, blocks, (late, now, never), 1000)
    seen = [(int(block[0, 0]), stream.queries[0]) for block in passed]
    assert seen == [(0, "sound 0"), (1, "sound 0"), (500, "sound 0.5"), (900, "sound 0.5")]


def test_only_the_stem_that_is_meant_changes() -> None:
    stream = SeparationStream("lariat", ["a", "b", "c"], 48000, 1, gate_threshold=[0.1, 0.2, 0.3])
    Change(0, "query", "d", 1).apply(stream)
    Change(0, "gate_threshold", 0.9, 2).apply(stream)
    assert stream.queries == ("a", "d", "c")
    assert stream.gate_threshold == (0.1, 0.2, 0.9)


def test_the_record_tells_the_changes(tmp_path: Path) -> None:
    def rendered(*changes: Change) -> bool:
        return not render(DEMO, "drums", tmp_path, length_s=0.1, existing="skip", changes=changes).skipped

    assert rendered(CHANGES[1])
    assert not rendered(CHANGES[1])
    record = json.loads((tmp_path / f"{Path(DEMO).stem}.soundlasso.json").read_text())
    told = {"at_s": 1.0, "name": "query", "value": "a dog barking", "stem": 0}
    assert record["settings"]["changes"] == [told]
    assert rendered()


@pytest.mark.parametrize(
    ("error", "told", "change"),
    [
        (SoundlassoError, "cannot change anything at -1 s; choose 0 or more", (-1, "query", "a")),
        (SoundlassoError, "cannot change anything at nan s", (float("nan"), "query", "a")),
        (SoundlassoError, "cannot change anything at inf s", (float("inf"), "query", "a")),
        (SoundlassoError, "cannot change 'gian'; choose query, gate_threshold, gate, avoid", (0, "gian", 1)),
        (SoundlassoError, "a gate_threshold of 1.5 cannot be; choose 0 to 1", (0, "gate_threshold", 1.5)),
        (QueryError, "empty", (0, "query", " ")),
        (QueryError, "empty", (0, "avoid", ("a", ""))),
    ],
)
def test_what_cannot_be_is_refused(
    error: type[Exception], told: str, change: tuple[float, str, object]
) -> None:
    with pytest.raises(error, match=told):
        Change(*change)  # type: ignore[arg-type]


def test_a_change_for_no_stem_and_thresholds_for_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SoundlassoError, match="a change is for stem 1; the render has 0 to 0"):
        render(DEMO, "drums", tmp_path, changes=[Change(0, "query", "a", 1)])
    with pytest.raises(SoundlassoError, match="2 gate thresholds for 1 queries; give one for each"):
        render(DEMO, "drums", tmp_path, gate_threshold=[0.1, 0.2])
    with pytest.raises(SoundlassoError, match=r"a gate threshold of 1\.1 cannot be; choose 0 to 1"):
        render(DEMO, "drums", tmp_path, gate_threshold=1.1)
    assert not list(tmp_path.iterdir())
