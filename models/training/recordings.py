"""The table of labelled recordings: the package, the file in it, what it is, and its split."""

import csv
import gzip
import io
from dataclasses import dataclass
from importlib import resources

SOUNDFONT_PACKAGES = ("fluid-soundfont-gm", "timgm6mb-soundfont", "minuet-data", "denemo-data")
SCORE_PACKAGES = ("openttd-openmsx",)
VALIDATION_SPEAKERS = frozenset({"klettres-data:da", "ktuberling-data:uk", "hedgewars-data:Pirate"})
"""Training speakers kept for validation, since the table's validation packages hold almost no speech."""

UNSURE_SPEAKERS = frozenset({"asterisk-core-sounds-it"})
"""Voices whose label and measured pitch disagree: kept as speech of nobody in particular."""

SPOKEN = frozenset(
    f"usr/share/games/micropolis/res/sounds/{name}.wav"
    for name in ("airport", "bulldozer", "chalk", "fire", "heavytraffic", "rail", "seaport", "stadium")
)
"""Files that hold the word that they are named by, and are labelled as the thing."""


@dataclass(frozen=True)
class Recording:
    """One labelled file; `path` may name a member of an archive as `archive!/member`."""

    package: str
    path: str
    seconds: float
    sound: str
    source: str
    split: str
    bandwidth_hz: float


def package_data(name: str) -> bytes:
    """Return a data file of this package."""
    return (resources.files("soundlasso.models.training") / name).read_bytes()


def recordings() -> list[Recording]:
    """Return all recordings that may be used; rejected ones are left out."""
    text = gzip.decompress(package_data("recordings.csv.gz")).decode()
    rows = csv.DictReader(io.StringIO(text))
    return [_recording(row) for row in rows if row["split"] != "exclude" and row["path"] not in SPOKEN]


def _recording(row: dict[str, str]) -> Recording:
    source = row["speaker"] or row["package"]
    if row["package"] == "hydrogen-drumkits":  # a kit is a source: its pieces share a room and a player
        source = "kit:" + row["path"].split("/")[-2]
    split = "valid" if source in VALIDATION_SPEAKERS else row["split"]
    sound = "speech" if source in UNSURE_SPEAKERS else row["class"]
    return Recording(
        row["package"], row["path"], float(row["seconds"]), sound, source, split,
        float(row["bandwidth_hz"] or 0),
    )  # fmt: skip


def packages() -> list[str]:
    """Return every Debian package the recipe downloads."""
    return sorted({r.package for r in recordings()} | {*SOUNDFONT_PACKAGES, *SCORE_PACKAGES})
