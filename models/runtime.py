"""What computes AudioSep's network: torch itself, or its graph in a runtime made for the processor."""

import hashlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from soundlasso.dsp.errors import ModelError
from soundlasso.models.atomic import write_whole
from soundlasso.models.checkpoint import HASH_DIGITS, read_checked
from soundlasso.models.resunet_folded import FoldedUNet, WindowNetwork

Runtime = Literal["auto", "eager", "onnx"]
RUNTIME_VARIABLE = "SOUNDLASSO_RUNTIME"
EXTRA = "soundlasso[onnx]"
_GRAPH = "graph-2-"  # the number rises when `resunet_graph` writes another graph for the same weights


def asked_runtime() -> Runtime:
    """Return what the variable SOUNDLASSO_RUNTIME asks for, ``"auto"`` if nothing.

    Raises
    ------
    ModelError
        If it names none.
    """
    return check_runtime(os.environ.get(RUNTIME_VARIABLE) or "auto", f"the variable {RUNTIME_VARIABLE}")


def check_runtime(name: str, what: str = "runtime") -> Runtime:
    """Return `name`, or raise ModelError if no runtime is called so."""
    runtimes: dict[str, Runtime] = {runtime: runtime for runtime in get_args(Runtime)}
    if name not in runtimes:
        raise ModelError(f"{what} must be one of {', '.join(runtimes)}, not {name!r}")
    return runtimes[name]


def choose(runtime: Runtime, device: str) -> Runtime:
    """Return ``"eager"`` or ``"onnx"``: what `runtime` means on `device`.

    Raises
    ------
    ModelError
        If it is not installed, or does not compute there.
    """
    if runtime == "auto":
        return "onnx" if device == "cpu" and is_installed() else "eager"
    if runtime == "onnx" and device != "cpu":
        raise ModelError(f"the runtime 'onnx' computes on the cpu, not on {device!r}; choose 'eager'")
    if runtime == "onnx" and not is_installed():
        raise ModelError(
            f"the runtime 'onnx' is not installed; get it with: pip install {EXTRA!r}, or choose 'eager'"
        )
    return runtime


def is_installed() -> bool:
    """Tell whether the extra is there, without loading it."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "openvino"))


def is_current(graph: str) -> bool:
    """Tell whether a graph's file name is one that this release writes."""
    return graph.startswith(_GRAPH)


def export_graph(network: Callable[[], FoldedUNet], folder: Path) -> Path | None:
    """Write a network's graph into `folder`, under a name with its hash; None if the extra is not there."""
    if not is_installed():
        return None
    from soundlasso.models.resunet_graph import export

    content = export(network())
    path = folder / f"{_GRAPH}{hashlib.sha256(content).hexdigest()[:HASH_DIGITS]}.onnx"
    write_whole(path, content)
    return path


def to_network(network: FoldedUNet, graph: Path) -> WindowNetwork:
    """Return the network whose graph that is, in the runtime."""
    from soundlasso.models.resunet_onnx import OnnxUNet

    return OnnxUNet(network, lambda: read_checked(graph))
