"""The main job on the demo recording: what a newcomer hears is held to what was measured."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso import Separator, separate
from soundlasso.dsp.metrics import null_depth_db, rms_db, si_sdr_improvement
from tests.signals import Audio

EXAMPLES = Path(__file__).parent.parent / "examples"
# Query, true stem, and floors for the SI-SDR improvement in dB with the gate and without, just under what
# was measured.  The gate takes the dog for absent, as README says.
STEMS = {
    "drums": ("drums", 8.2, 8.5),
    "bass guitar": ("bass", 10.0, 10.1),
    "violin": ("violin", 16.6, 16.6),
    "a person talking": ("voice", 5.5, 5.5),
    "a dog barking": ("dog", None, 6.8),
}
QUIET_DB = 14.0  # more is silence; SI-SDR tells no level, and the dog is 13 dB too quiet
ABSENT = "a helicopter"
ABSENT_DB = -50.0  # against the mixture
NULL_DB = -120.0

Separated = tuple[bool, dict[str, Audio]]  # whether gated; by query


def read(path: Path) -> Audio:
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == 44100
    return np.ascontiguousarray(audio.T, np.float32)


@pytest.fixture(scope="module")
def mixture() -> Audio:
    return read(EXAMPLES / "demo.flac")


@pytest.fixture(scope="module", params=[True, False], ids=["gate", "no-gate"])
def separated(request: pytest.FixtureRequest, lariat: Separator, mixture: Audio) -> Separated:
    queries = [*STEMS, ABSENT]
    stems = separate(mixture, 44100, queries, model=lariat, gate=request.param)
    return request.param, dict(zip(queries, stems, strict=True))


def test_the_demo_is_the_sum_of_its_stems(mixture: Audio) -> None:
    parts = [read(EXAMPLES / "demo.stems" / f"{name}.flac") for name, _, _ in STEMS.values()]
    assert null_depth_db(mixture, np.stack(parts)) <= NULL_DB


def test_every_named_stem_is_better_than_the_mixture(separated: Separated, mixture: Audio) -> None:
    gate, stems = separated
    for query, (name, gated_db, ungated_db) in STEMS.items():
        floor_db = gated_db if gate else ungated_db
        if floor_db is None:
            assert gate and not stems[query].any(), f"{query} is heard now: give it a floor, and tell README"
            continue
        truth = read(EXAMPLES / "demo.stems" / f"{name}.flac")
        assert rms_db(stems[query]) > rms_db(truth) - QUIET_DB, f"{query} is nearly silent"
        improved_db = si_sdr_improvement(truth, stems[query], mixture)
        assert improved_db >= floor_db, f"{query}: {improved_db:.2f} dB"


def test_stems_and_rest_null_against_the_mixture(separated: Separated, mixture: Audio) -> None:
    _, stems = separated
    named = np.stack([stems[query] for query in STEMS])
    rest = (mixture - named.sum(0)).astype(np.float32)
    assert null_depth_db(mixture, np.concatenate([named, rest[None]])) <= NULL_DB


def test_a_sound_that_is_not_there_gives_near_silence(separated: Separated, mixture: Audio) -> None:
    gate, stems = separated
    if gate:
        assert rms_db(stems[ABSENT]) - rms_db(mixture) <= ABSENT_DB
    else:
        assert stems[ABSENT].any()
