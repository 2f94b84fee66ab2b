"""Measure ResUNet30 at its published size: plain torch against each runtime, its speed and its memory.

Run it with ``python -m benchmarks.resunet`` from the repository's root; see ``--help`` for longer signals and
more queries. The weights are noise of the right scale, CLAP's text tower included: speed and memory are
those of the trained ones. What context is worth is measured by ``benchmarks.resunet_context``.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import RobertaConfig

from soundlasso import SeparationStream, Separator
from soundlasso.models import catalog
from soundlasso.models.audiosep import build
from soundlasso.models.cache import CACHE_VARIABLE, Installed, installed
from soundlasso.models.checkpoint import fill, load_safetensors
from soundlasso.models.clap import CLAP
from soundlasso.models.engine import Profile
from soundlasso.models.resunet import ResUNet30
from soundlasso.models.resunet_folded import FoldedUNet, Maps, WindowNetwork
from soundlasso.models.runtime import to_network
from soundlasso.models.windowed import FRAME_RATE, LIVE, OFFLINE
from tests.audiosep_rule import condition, published_shapes, tensor_for
from tests.test_text_towers import clap_checkpoint, roberta_tokenizer

QUERIES = ("drums", "a dog barking", "a person talking", "rain on a roof")
RUNTIMES = ("plain", "eager", "onnx")
PROFILES = {"offline": OFFLINE, "live": LIVE}
HOST_RATE, CHANNELS, BLOCK_S = 44100, 2, 10
REPEATS = 2
MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


class Plain:
    """`ResUNet30` as it is published: nothing folded, and every frame of a window decoded."""

    queries_at_once = windows_at_once = 1

    def __init__(self, network: ResUNet30) -> None:
        self.device = torch.device("cpu")
        self._network = network
        self._queries: list[dict[str, Tensor]] = []

    def shifts(self, query: Tensor) -> Tensor:
        """Return the number under which the query's shifts are kept."""
        self._queries.append(self._network.shifts(query[None]))
        return torch.tensor(len(self._queries) - 1)

    def window(self, rows: int, frames: int, past: int, future: int) -> Maps:
        """Return what gives the maps of such windows."""
        return lambda heard, number: self._network.base(heard, self._queries[int(number)])[
            :, :, past : frames - future
        ]


def import_noise(folder: Path) -> None:
    """Make a checkpoint of the published form, and import it under the name ``noise``."""
    roberta = RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1)
    _, _, tower = clap_checkpoint(roberta, 512)
    tensors = {f"ss_model.{name}": tensor_for(name, shape) for name, shape in published_shapes().items()}
    tensors |= {f"query_encoder.model.{name}": tensor for name, tensor in tower.items()}
    torch.save({"state_dict": tensors}, folder / "noise.ckpt")
    catalog.import_file(folder / "noise.ckpt", "noise", tokenizer=roberta_tokenizer(folder))
    (folder / "noise.ckpt").unlink()


def network(runtime: str, noise: Installed) -> WindowNetwork:
    with torch.device("meta"):
        empty = ResUNet30()
    published = fill(empty, load_safetensors(noise.folder / noise.separator), noise.separator)
    if runtime == "plain":
        return Plain(published)
    folded = FoldedUNet(published)
    return folded if runtime == "eager" else to_network(folded, noise.folder / noise.graph)


def load(runtime: str) -> Separator:
    noise = installed()["noise"]
    text = CLAP(lambda: load_safetensors(noise.folder / noise.text), noise.folder / noise.tokenizer)
    return build(runtime, "00000000", network(runtime, noise), text)


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MEMORY_UNIT / 1e9


@torch.inference_mode()
def time_window(runtime: str, profile: Profile) -> None:
    """Print how long one window takes: the least wall and processor time of some."""
    past, hop, future = (round(s * FRAME_RATE) for s in (profile.past_s, profile.hop_s, profile.future_s))
    chosen = network(runtime, installed()["noise"])
    maps, shifts = chosen.window(1, past + hop + future, past, future), chosen.shifts(condition(0))
    heard = torch.rand(1, past + hop + future, 1025, generator=torch.manual_seed(0))
    times = []
    for _ in range(REPEATS + 1):  # the first takes memory that the others have
        wall, processor = time.perf_counter(), time.process_time()
        maps(heard, shifts)
        times.append((time.perf_counter() - wall, time.process_time() - processor))
    wall, processor = (min(column) for column in zip(*times[1:], strict=True))
    print(f"  {runtime:<6} {wall:6.2f} s, processor {processor:6.2f} s, peak {peak_gb():.2f} GB", flush=True)


def time_stream(model: Separator, profile: Profile, seconds: float, count: int) -> None:
    """Print the real-time factor and the peak memory of a stereo stream of noise, in blocks."""
    stream = SeparationStream(model, QUERIES[:count], HOST_RATE, CHANNELS, profile=profile)
    noise = np.random.default_rng(0).standard_normal((CHANNELS, round(min(seconds, BLOCK_S) * HOST_RATE)))
    block = (noise / 10).astype(np.float32)
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(round(seconds * HOST_RATE / block.shape[1])):
        stream.process(block)
    stream.flush()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(
        f"  {model.name:<6} {seconds:5g} s, queries: {count}, real-time factor {wall / seconds:5.2f}, "
        f"processor {processor / seconds:5.2f}, peak {peak_gb():.2f} GB",
        flush=True,
    )


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, nargs="+", default=[5], help="of audio (default: 5)")
    parser.add_argument("--queries", type=int, nargs="+", default=[1], help="1 to 4 (default: 1)")
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=RUNTIMES, help="(default: all)")
    parser.add_argument("--profile", choices=PROFILES, default="offline", help="(default: offline)")
    parser.add_argument("--threads", type=int, default=2, help="(default: 2)")
    parser.add_argument("--no-windows", action="store_true", help="leave out the table of single windows")
    parser.add_argument("--row", nargs="+", help=argparse.SUPPRESS)  # one row, in this process
    return parser.parse_args()


def run_row(asked: argparse.Namespace) -> None:
    torch.set_num_threads(asked.threads)
    kind, runtime, *numbers = asked.row
    profile = PROFILES[asked.profile]
    if kind == "import":
        import_noise(Path(runtime))
    elif kind == "window":
        time_window(runtime, profile)
    else:
        time_stream(load(runtime), profile, float(numbers[0]), int(numbers[1]))


def main() -> None:
    asked = options()
    if asked.row:
        run_row(asked)
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, CACHE_VARIABLE: folder}
        told = ["--profile", asked.profile, "--threads", str(asked.threads)]

        def row(*words: object) -> None:  # a fresh process, whose peak memory is its own
            command = [sys.executable, "-m", "benchmarks.resunet", *told, "--row", *map(str, words)]
            subprocess.run(command, check=True, env=environment)

        row("import", folder)
        if not asked.no_windows:
            profile = PROFILES[asked.profile]
            print(f"one window, {profile}, {asked.threads} threads", flush=True)
            for runtime in asked.runtimes:
                row("window", runtime)
        print(f"streams of {CHANNELS} channels at {HOST_RATE} Hz, text tower and all", flush=True)
        for seconds in asked.seconds:
            for count in asked.queries:
                for runtime in asked.runtimes:
                    row("stream", runtime, seconds, count)


if __name__ == "__main__":
    main()
