"""A model by name: a network, its text encoder and its front end, ready to separate."""

import dataclasses
import difflib
import functools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

import torch

from soundlasso.dsp.errors import AudioError, ModelError, UnknownModelError
from soundlasso.models.checkpoint import load_safetensors
from soundlasso.models.engine import Engine, Profile
from soundlasso.models.runtime import Runtime, asked_runtime, check_runtime
from soundlasso.models.text import MiniLM, TextEncoder

Stereo = Literal["linked", "independent"]
DEFAULT_MODEL = "lariat"
SAMPLE_RATES = (1000.0, 768_000.0)
MAX_CHANNELS = 64
_WEIGHTS = Path(__file__).parent / "weights"


@dataclasses.dataclass(frozen=True)
class Separator:
    """A network with its text encoder and its weights.

    Attributes
    ----------
    name : str
        What `load_model` knows it by, or the weights' file name.
    weights_hash : str
        The first hex digits of the weights' SHA-256.
    sample_rate : int
        The rate the network was trained at, in Hz; streams take any.
    threads : int or None
        How many of torch's threads it is fastest with, where that is not all of them.
    """

    name: str
    weights_hash: str
    sample_rate: int
    text: TextEncoder = dataclasses.field(repr=False)
    start: Callable[[float, int, Stereo, Profile | None], Engine] = dataclasses.field(repr=False)
    threads: int | None = dataclasses.field(default=None, repr=False)

    def embed(self, queries: Sequence[str]) -> torch.Tensor:
        """Return the queries' vectors.  Shape: (queries, text size).

        Raises
        ------
        QueryError
            If a text cannot be a query.
        """
        return self.text.encode(queries)

    def prepare(self) -> None:
        """Load now what a query that comes later would wait for: seconds, with lariat.

        For programs whose queries change while they run.
        """
        self.text.prepare()

    def settle_threads(self) -> None:
        """Set torch, for the whole process, to the threads that this model is fastest with.

        For programs: nothing in the library calls it.
        """
        if self.threads is not None:
            torch.set_num_threads(self.threads)

    def engine(
        self, sample_rate: float, channels: int, *, stereo: Stereo = "linked", profile: Profile | None = None
    ) -> Engine:
        """Start a separation of `channels` channels at `sample_rate` Hz.

        Raises
        ------
        AudioError
            If there can be no audio of that rate or that many channels.
        """
        low, high = SAMPLE_RATES
        if not low <= sample_rate <= high:
            raise AudioError(f"sample_rate must be {low:g} to {high:g} Hz, not {sample_rate!r}")
        if not 1 <= channels <= MAX_CHANNELS:
            raise AudioError(f"channels must be 1 to {MAX_CHANNELS}, not {channels!r}")
        if stereo not in get_args(Stereo):
            raise ValueError(f"stereo must be one of {', '.join(get_args(Stereo))}, not {stereo!r}")
        return self.start(sample_rate, channels, stereo, profile)


_loading = threading.Lock()


def load_model(
    name_or_path: str | Path = DEFAULT_MODEL, device: str = "cpu", runtime: Runtime | None = None
) -> Separator:
    """Load a model once; the same name, device and runtime give the same object.

    Parameters
    ----------
    name_or_path
        ``"lariat"``, a model of the catalogue such as ``"audiosep"``, one that was imported, or the path
        of lariat's weights: a safetensors file whose name ends in the first eight hex digits of its
        SHA-256.
    device
        ``"cpu"``, ``"cuda"`` or ``"mps"``.
    runtime
        What computes AudioSep's network: ``"eager"`` is torch, ``"onnx"`` the extra ``soundlasso[onnx]``,
        faster on a CPU and the same to 1e-4, ``"auto"`` the latter where it is installed.  None asks the
        variable SOUNDLASSO_RUNTIME, then is ``"auto"``.

    Raises
    ------
    UnknownModelError
        If no model has that name (the nearest is given), or it was not fetched yet (how to is said).
    ModelError
        If its weights are missing, damaged or made for another network, or the device or the runtime is
        not there.
    """
    name = str(name_or_path)
    is_lariat = name == DEFAULT_MODEL or name.endswith(".safetensors")
    if is_lariat and runtime == "onnx":
        raise ModelError(f"model {name!r} has no runtime but 'eager'; 'onnx' is for AudioSep's network")
    chosen: Runtime = "eager" if is_lariat else asked_runtime() if runtime is None else check_runtime(runtime)
    with _loading:  # two threads that ask at once must not both read the weights
        return _load(name, device, chosen)


@functools.lru_cache(maxsize=8)
def _load(name: str, device: str, runtime: Runtime) -> Separator:
    check_device(device)
    if name.endswith(".safetensors"):
        return _load_lariat(Path(name).stem, Path(name), device)
    if name == DEFAULT_MODEL:
        return _load_lariat(name, shipped_weights("lariat"), device)
    from soundlasso.models import catalog  # which needs this module

    known = [
        DEFAULT_MODEL,
        *dict.fromkeys([*(entry.name for entry in catalog.ENTRIES), *catalog.names()]),
    ]
    if name in known:
        return catalog.load(name, device, runtime)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    choices = f"models are {', '.join(known)}, or the path of a .safetensors file"
    raise UnknownModelError(f"no model {name!r}; {hint}{choices}")


def shipped_weights(stem: str) -> Path:
    """Return the path of the weights that ship with the package under this name."""
    found = sorted(_WEIGHTS.glob(f"{stem}-????????.safetensors"))
    if len(found) != 1:
        raise ModelError(
            f"expected one file {stem}-*.safetensors in the package, found {len(found)}; install it again"
        )
    return found[0]


def check_device(device: str) -> None:
    """Raise ModelError if torch cannot compute on `device` here."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.split(":")[0], False):
        there = ", ".join(name for name, here in available.items() if here)
        raise ModelError(f"device {device!r} is not available on this machine; choose one of {there}")


@functools.cache
def _minilm() -> MiniLM:
    return MiniLM()


def _load_lariat(name: str, path: Path, device: str) -> Separator:
    from soundlasso.models.frames import MODEL_RATE, FrameEngine
    from soundlasso.models.lariat import build
    from soundlasso.models.lariat_folded import FoldedLariat

    network = FoldedLariat(build(load_safetensors(path), device))

    def start(sample_rate: float, channels: int, stereo: Stereo, profile: Profile | None) -> Engine:
        if profile is not None:
            raise ModelError(f"model {name!r} works frame by frame; it takes no profile, not {profile!r}")
        return FrameEngine(network, sample_rate, channels, stereo)

    # Its products are so small that a second thread only waits: one alone takes half the time.
    return Separator(name, path.stem[-8:], MODEL_RATE, _minilm(), start, threads=1)
