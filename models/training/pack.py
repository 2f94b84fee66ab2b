"""Make a run's weights ready to ship: a file named by its hash, and a model card that says what is in it.

`python -m soundlasso.models.training.pack NAME FOLDER` takes the newest average of the run NAME, measures
it on the test lists, and writes `lariat-HASH.safetensors` and `lariat.md` into FOLDER.
"""

import argparse
import csv
import re
from collections import defaultdict
from pathlib import Path

import torch

from soundlasso.models.checkpoint import load_safetensors, save_safetensors, write_whole
from soundlasso.models.text import MiniLM
from soundlasso.models.training import phase_trial, trials
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.evaluate import Listener, Row, by_class, measure, table
from soundlasso.models.training.options import cache_option
from soundlasso.models.training.recordings import packages
from soundlasso.models.training.storage import SAMPLE_RATE, Cache
from soundlasso.models.training.vocabulary import MUSICAL, SPEECH

HERE = Path(__file__).parent
"""Where what people wrote about the weights lies: `limits.md`, `story.md`, and the trials."""
CURVE_ROWS = 12


def newest(run: Path, stem: str) -> Path:
    """Return the weights that a run kept under `stem`."""
    found = sorted(run.glob(f"{stem}-????????.safetensors"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise FileNotFoundError(f"run {run.name!r} has no {stem!r} weights; train it first")
    return found[-1]


def licences(cache: Cache) -> dict[str, str]:
    """Return each package's licences, as its copyright file names them."""
    named = {}
    for package in packages():
        text = (cache.root / "licences" / f"{package}.txt").read_text(errors="replace")
        found = dict.fromkeys(re.findall(r"^License: *(\S[^\n]*)", text, re.MULTILINE))
        named[package] = "; ".join(found) or "as stated in its copyright file"
    return named


def hours(bank: Bank) -> dict[str, float]:
    """Return how much of each kind of sound a bank holds, in hours."""
    total: dict[str, float] = defaultdict(float)
    for take in bank.takes:
        sound = take.clip.sound
        kind = "speech" if sound in SPEECH else "music" if sound in MUSICAL else "effects and other"
        total[kind] += take.clip.length / SAMPLE_RATE / 3600
    return dict(total)


def curve(run: Path) -> str:
    """Return some rows of a run's learning curve as a Markdown table."""
    with (run / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    step = max(1, len(rows) // CURVE_ROWS)
    names = ("step", "minutes", "valid_loss", "valid_gain_db", "valid_si_db", "seen_gain_db", "valid_leak_db")
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    lines += ["| " + " | ".join(row[name] for name in names) + " |" for row in (*rows[:-1:step], rows[-1])]
    return "\n".join(lines)


def tried(rows: list[dict[str, str]], with_phases: list[dict[str, str]]) -> str:
    """Return a section about the trials, if there were any."""
    sections = []
    if rows:
        sections.append(f"""## Trials

One change at a time to the first network, from chance, for 20 minutes of one thread's processor time each.
Gains as above.

{trials.table(rows)}
""")
    if with_phases:
        sections.append(f"""### A phase residual

The same network and as long, from other shards, which hold phases; all by one loss, that of complex gains.
SI-SDR improvement on lists a to e of held-out and of seen sources, and without what the residual turned.

{trials.table(with_phases, phase_trial.COLUMNS)}
""")
    return "\n".join(["", *sections]) if sections else ""


def card(weights: Path, run: Path, cache: Cache, rows: list[Row]) -> str:
    """Write the model card."""
    held = {split: hours(Bank(cache, split)) for split in ("train", "test")}
    data = "\n".join(
        f"- {split}: " + ", ".join(f"{n:.1f} h {kind}" for kind, n in h.items()) for split, h in held.items()
    )
    sources = "\n".join(f"- {name}: {terms}" for name, terms in licences(cache).items())
    return f"""# {weights.stem}

The weights of lariat, MIT, made by `soundlasso.models.training` from free recordings.

## What it does on held-out sources

SI-SDR improvement over the mixture. a: two instruments, b: bands of 3 or 4 parts of one piece, c: speech over
music, d: speech over an effect, e: two effects, f: absent sounds, g: other words. Test speakers, packages,
soundfont and drum kits were never trained on.

{table(rows)}

By class, the worst first:

{by_class(rows)}

## What it does badly

{(HERE / "limits.md").read_text().rstrip()}

## How it learned

{(HERE / "story.md").read_text().rstrip()}

{curve(run)}
{tried(trials.rows(trials.MADE), trials.rows(phase_trial.MADE))}
## Data

{data}

From these Debian packages:

{sources}
"""


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the weights, write the card."""
    parser = argparse.ArgumentParser(prog="pack", description=__doc__)
    cache_option(parser)
    parser.add_argument("name", help="name of the run")
    parser.add_argument("folder", type=Path, help="where the weights and the card go")
    parser.add_argument(
        "--stem", default="newest", choices=("newest", "cooled"), help="which weights (default: newest)"
    )
    parser.add_argument(
        "--blend", type=Path, metavar="FILE", help="average them with these weights of the same descent"
    )
    parser.add_argument("--mixtures", type=int, default=60, help="of each test list (default: 60)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    cache = Cache.open(options.cache)
    run = cache.root / "runs" / options.name
    kept = newest(run, options.stem)
    tensors = {
        name: value
        for name, value in load_safetensors(kept).items()
        if not name.endswith("num_batches_tracked")
    }
    if options.blend:  # forgets less of what the older ones knew (Wortsman et al., CVPR 2022)
        other = load_safetensors(options.blend)
        tensors = {name: (value + other[name]) / 2 for name, value in tensors.items()}
    path = save_safetensors(tensors, options.folder, "lariat")
    rows = measure(path.name, Listener(path, MiniLM()), Bank(cache, "test"), options.mixtures)
    write_whole(options.folder / "lariat.md", card(path, run, cache, rows).encode())
    print(f"{path}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
