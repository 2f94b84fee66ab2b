"""The process a hosted plugin lives in: `python -m soundlasso.bridge.hosted_child`.

It loads the plugin on its main thread, as plugins want, and answers one line of JSON per request until
its standard input ends.
"""

import json
import mmap
import os
import sys
from typing import IO, Any, cast

import numpy as np
from pedalboard._pedalboard import load_plugin

from soundlasso.bridge.board import Board
from soundlasso.bridge.effect import Audio, StreamSpec


class Host:
    """One plugin in a board, and a method for each request."""

    def load(self, path: str) -> dict[str, Any]:
        """Load the plugin."""
        self.plugin = cast(Any, load_plugin(path))
        self.board = Board([self.plugin])
        return {"name": self.plugin.name, "parameters": self.values()}

    def values(self) -> dict[str, Any]:
        """Return every parameter's value."""
        plain = (bool, int, float, str)
        values = {name: getattr(self.plugin, name) for name in self.plugin.parameters}
        return {
            name: next((kind(value) for kind in plain if isinstance(value, kind)), str(value))
            for name, value in values.items()
        }

    def set(self, values: dict[str, Any]) -> dict[str, Any]:
        """Set parameters; if one is refused, put the others back."""
        before = {name: self.plugin.parameters[name].raw_value for name in values}
        try:
            for name, value in values.items():
                setattr(self.plugin, name, value)
        except (ValueError, TypeError):
            for name, raw in before.items():
                self.plugin.parameters[name].raw_value = raw
            raise
        return {"parameters": self.values()}

    def describe(self) -> dict[str, Any]:
        """Return what each parameter is and can be."""
        return {
            "parameters": {name: describe_range(one) for name, one in self.plugin.parameters.items()},
            "maker": self.plugin.manufacturer_name,
            "version": self.plugin.version,
            "latency": self.plugin.reported_latency_samples,
        }

    def share(self, path: str, channels: int) -> dict[str, Any]:
        """Map the memory that the parent made."""
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        self.audio = np.frombuffer(self.memory, np.float32).reshape(channels, -1)
        return {}

    def start(self, rate: float, channels: int, block: int) -> dict[str, Any]:
        """Begin a stream."""
        self.board.start(StreamSpec(rate, channels, block))
        return {"latency": self.board.latency_samples}

    def push(self, samples: int) -> dict[str, Any]:
        """Process one block in place."""
        return self.give(self.board.push(self.audio[:, :samples].copy()))

    def drain(self, samples: int) -> dict[str, Any]:
        """Give the first block of what is still inside."""
        return self.give(self.board.drain())

    def rest(self, samples: int) -> dict[str, Any]:
        """Give the next block of what did not fit."""
        return self.give(self.left)

    def give(self, ready: Audio) -> dict[str, Any]:
        """Put as much into the shared memory as fits, and keep what is left."""
        n = min(ready.shape[1], self.audio.shape[1])
        self.audio[:, :n] = ready[:, :n]
        self.left = ready[:, n:]
        return {"samples": n}

    def clear(self) -> dict[str, Any]:
        """Put the plugin back as just started."""
        self.board.clear()
        return {}


def describe_range(parameter: Any) -> str:
    """Say which values a parameter can have."""
    if parameter.type is float:
        return f"{parameter.min_value:g} to {parameter.max_value:g} {parameter.label or ''}".rstrip()
    return " or ".join(str(value) for value in parameter.valid_values)


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    host = Host()
    for line in requests:
        request = json.loads(line)
        answer: dict[str, Any]
        try:
            answer = getattr(host, request.pop("request"))(**request)
        except (ImportError, ValueError, TypeError, RuntimeError, OSError) as error:
            answer = {"error": str(error)}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def main() -> None:
    """Keep the standard output for answers: what plugins print goes to the standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
