"""Third-party plugins in a process of their own: a crash or a hang is an error, not the end of ours.

The parent and the child exchange one line of JSON each way per request, over the child's standard
input and output; audio lies in a file that both map into memory.  Nothing is unpickled.
"""

import difflib
import json
import mmap
import os
import queue
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from soundlasso.bridge.effect import AlignedEffect, Audio, StreamSpec, join
from soundlasso.bridge.hosted_scan import PluginError, find_plugin

DEFAULT_TIMEOUT_S = 30.0
_QUIT_TIMEOUT_S = 2.0

Value = float | bool | str


class HostedPlugin(AlignedEffect):
    """A VST3 (or, on macOS, Audio Unit) effect in a child process.

    Parameters
    ----------
    path_or_name
        The plugin's file, or its name as `soundlasso plugins scan` lists it.
    parameters
        Values by parameter name, as `soundlasso plugins params` lists them.
    timeout_s
        How long loading, or any one block, may take.

    Raises
    ------
    PluginError
        There is no such plugin or parameter, or it died or hung while loading.

    After a crash every call says so; `reset()` or a new stream loads the plugin anew.
    """

    def __init__(
        self,
        path_or_name: str | os.PathLike[str],
        parameters: Mapping[str, Value] | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        if not 0 < timeout_s < float("inf"):
            raise PluginError(f"a timeout of {timeout_s!r} seconds is impossible; give more than 0")
        self.path, self.timeout_s = find_plugin(path_or_name), timeout_s
        self._asking = threading.Lock()
        self._wanted: dict[str, Value] = {}
        self._child = Child(self.path, timeout_s)
        self._load()
        self.set(**(parameters or {}))

    def _load(self) -> None:
        loaded = self._ask("load", path=self.path)
        self.name: str = loaded["name"]
        self.parameters: dict[str, Value] = loaded["parameters"]

    def set(self, **parameters: Value) -> None:
        """Set parameters, also while the plugin plays; if one cannot be, none is set.

        Raises
        ------
        PluginError
            No such parameter, or not a value it can have.
        """
        for name in parameters:
            if name not in self.parameters:
                near = difflib.get_close_matches(name, self.parameters, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(self.parameters)}"
                raise PluginError(f"{self.name} has no parameter {name!r}; {hint}")
        if parameters:
            self.parameters = self._ask("set", values=parameters)["parameters"]
            self._wanted |= parameters

    def start(self, spec: StreamSpec) -> None:
        """Begin a new stream; a plugin that has died is loaded again."""
        if not self._child.alive:
            self._child.close()
            self._child = Child(self.path, self.timeout_s)
            self._load()
            self.set(**self._wanted)
        self._child.share(spec)
        begun = self._ask("start", rate=spec.sample_rate, channels=spec.channels, block=spec.max_block)
        self._spec, self.latency_samples = spec, begun["latency"]

    def push(self, samples: Audio) -> Audio:
        """Take any number of samples; return those that are ready."""
        self._check_running()
        assert self._spec is not None
        return join([samples[:, :0], *(self._exchange("push", part) for part in self._spec.blocks(samples))])

    def drain(self) -> Audio:
        """Return what is still inside; then the plugin is as just started."""
        self._check_running()
        assert self._spec is not None
        parts = [self._exchange("drain", self._spec.zeros(0))]
        while parts[-1].shape[1]:
            parts.append(self._exchange("rest", self._spec.zeros(0)))
        return join(parts)

    def clear(self) -> None:
        """Put the plugin back as just started."""
        if self._spec is not None and self._child.alive:
            self._ask("clear")

    def describe(self) -> dict[str, Any]:
        """Return the maker, the version, and what each parameter is and can be."""
        return self._ask("describe")

    def close(self) -> None:
        """End the child; may be called any number of times."""
        self._child.close()

    def _exchange(self, request: str, samples: Audio) -> Audio:
        with self._asking:
            self._child.audio[:, : samples.shape[1]] = samples
            answer = self._send({"request": request, "samples": samples.shape[1]})
            return self._child.audio[:, : answer["samples"]].copy()

    def _ask(self, request: str, **details: Any) -> dict[str, Any]:
        with self._asking:
            return self._send({"request": request, **details})

    def _send(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._child.ask(request)
        except PluginError:
            self._spec = None  # the stream is lost; the next one loads the plugin again
            raise
        if "error" in answer:
            raise PluginError(f"{os.path.basename(self.path)}: {answer['error']}")
        return answer

    def _check_running(self) -> None:
        if self._spec is None:
            raise PluginError(f"{self.name} is not in a stream; reset the board to load it again")

    def __enter__(self) -> "HostedPlugin":
        """Return the plugin."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the child."""
        self.close()

    def __repr__(self) -> str:
        """Show how to make it."""
        shown = f", {self._wanted!r}" if self._wanted else ""
        return f"HostedPlugin({self.path!r}{shown})"


class Child:
    """The other process, and the memory shared with it."""

    def __init__(self, path: str, timeout_s: float) -> None:
        self.path, self.timeout_s = path, timeout_s
        self.process = subprocess.Popen(
            [sys.executable, "-m", "soundlasso.bridge.hosted_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        assert self.process.stdin is not None and self.process.stdout is not None
        self._requests: IO[bytes] = self.process.stdin
        threading.Thread(
            target=read_lines,
            args=(self.process.stdout, self._answers),
            daemon=True,
            name="soundlasso-plugin",
        ).start()
        self.audio = np.zeros((0, 0), np.float32)
        self.close = weakref.finalize(self, end_process, self.process)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def share(self, spec: StreamSpec) -> None:
        """Make the memory that both see fit for one block of a stream."""
        if self.audio.shape == (spec.channels, spec.max_block):
            return
        with tempfile.TemporaryDirectory(prefix="soundlasso-") as folder:
            path = os.path.join(folder, "audio")
            with open(path, "w+b") as file:
                file.write(bytes(4 * spec.channels * spec.max_block))
                file.flush()
                memory = mmap.mmap(file.fileno(), 0)
            answer = self.ask({"request": "share", "path": path, "channels": spec.channels})
        if "error" in answer:
            raise PluginError(answer["error"])
        self.audio = np.frombuffer(memory, np.float32).reshape(spec.channels, spec.max_block)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises
        ------
        PluginError
            The child died, or did not answer in time; then it is ended.
        """
        doing = request["request"]
        if not self.alive:
            raise self._died(doing)
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            line = self._answers.get(timeout=self.timeout_s)
        except BrokenPipeError as error:
            raise self._died(doing) from error
        except queue.Empty as error:
            self.process.kill()
            name = os.path.basename(self.path)
            raise PluginError(f"{name} hung: no answer to {doing!r} in {self.timeout_s:g} s") from error
        if not line:
            raise self._died(doing)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _died(self, doing: str) -> PluginError:
        code = self.process.wait(self.timeout_s)
        how = f"by signal {-code}" if code < 0 else f"with exit status {code}"
        return PluginError(
            f"{os.path.basename(self.path)} ended {how} at {doing!r}; a new stream loads it again"
        )


def read_lines(stream: IO[bytes], lines: "queue.SimpleQueue[bytes]") -> None:
    """Pass lines on as they come, and an empty one at the end."""
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(b"")


def end_process(process: "subprocess.Popen[bytes]") -> None:
    """Have a child end itself, or end it."""
    assert process.stdin is not None
    try:
        process.stdin.close()
    except BrokenPipeError:
        pass
    try:
        process.wait(_QUIT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
