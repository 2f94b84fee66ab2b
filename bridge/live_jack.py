"""Live audio by JACK, which PipeWire speaks too."""

import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from soundlasso.bridge.live import FREEWHEEL_TIMEOUT_S, MAX_BLOCK, LiveEngine, LiveError


class JackClient:
    """A JACK client with as many inputs and outputs as there are channels.

    Parameters
    ----------
    channels
        How many ports each way.
    name
        What patch bays show.
    server
        Name of the server; None is the usual one. It is never started from here.
    connect_hardware
        Connect the first sound card's ports when it plays, as many as there are channels.

    Attributes
    ----------
    sample_rate, block_samples
        The server's.
    xruns
        How often the server itself was late.
    ended
        Set when the server is gone; `reason` says why.

    Raises
    ------
    LiveError
        No server answers, or the JACK library is not installed.
    """

    def __init__(
        self,
        channels: int = 2,
        *,
        name: str = "soundlasso",
        server: str | None = None,
        connect_hardware: bool = False,
    ) -> None:
        jack = load_jack()
        close_ended()
        try:
            self._client = jack.Client(name, no_start_server=True, servername=server)
        except jack.JackOpenError as error:
            which = "the default JACK server" if server is None else f"JACK server {server!r}"
            raise LiveError(f"cannot reach {which}; start it, or play through a sound card") from error
        self.sample_rate = int(self._client.samplerate)
        self.block_samples = int(self._client.blocksize)
        self.xruns = 0
        self.ended = threading.Event()
        self.reason = ""
        _OPEN.add(self)
        self._client.set_shutdown_callback(self._shut_down)
        self._wait_s = 0.0
        self._connects = connect_hardware
        self._inputs = [self._client.inports.register(f"in_{i + 1}") for i in range(channels)]
        self._outputs = [self._client.outports.register(f"out_{i + 1}") for i in range(channels)]
        self._in = np.zeros((channels, MAX_BLOCK), np.float32)
        self._out = np.zeros((channels, MAX_BLOCK), np.float32)

    @property
    def inputs(self) -> Sequence[str]:
        """The names of the input ports."""
        return [port.name for port in self._inputs]

    @property
    def outputs(self) -> Sequence[str]:
        """The names of the output ports."""
        return [port.name for port in self._outputs]

    def play(self, engine: LiveEngine) -> None:
        """Begin to play."""
        self._engine = engine
        self._client.set_process_callback(self._process)
        self._client.set_xrun_callback(self._count_xrun)
        self._client.set_freewheel_callback(self._freewheel)
        self._client.activate()
        if self._connects:
            self._connect_hardware()

    def _connect_hardware(self) -> None:
        ports = self._client.get_ports
        sources = ports(is_audio=True, is_physical=True, is_output=True)
        sinks = ports(is_audio=True, is_physical=True, is_input=True)
        for source, port in zip(sources, self._inputs, strict=False):
            self._client.connect(source, port)
        for port, sink in zip(self._outputs, sinks, strict=False):
            self._client.connect(port, sink)

    def _process(self, frames: int) -> None:
        for row, port in zip(self._in, self._inputs, strict=True):
            row[:frames] = port.get_array()
        self._engine.exchange(self._in[:, :frames], self._out[:, :frames], self._wait_s)
        for row, port in zip(self._out, self._outputs, strict=True):
            port.get_array()[:] = row[:frames]

    def _count_xrun(self, delayed_us: float) -> None:
        self.xruns += 1

    def _freewheel(self, starting: bool) -> None:
        self._wait_s = FREEWHEEL_TIMEOUT_S if starting else 0.0

    def _shut_down(self, status: Any, reason: str) -> None:
        self.reason = reason or "no reason was given"
        self.ended.set()

    def close(self) -> None:
        """Leave the server, dead or alive; may be called any number of times."""
        _OPEN.discard(self)
        self._client.close()

    def __enter__(self) -> "JackClient":
        """Return the client."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the server."""
        self.close()


_OPEN: "weakref.WeakSet[JackClient]" = weakref.WeakSet()


def close_ended() -> None:
    """Close the clients of servers that are gone.

    The JACK library frees them when the process opens its next client; closing one after that, even by
    garbage collection, would end the process.
    """
    for client in [client for client in _OPEN if client.ended.is_set()]:
        client.close()


def load_jack() -> Any:
    """Import the JACK library.

    Raises
    ------
    LiveError
        It is not installed; the text says how to.
    """
    try:
        import jack
    except (ImportError, OSError) as error:  # OSError: the module is there, the library behind it is not
        raise LiveError("JACK is not installed; install JACK-Client from PyPI and JACK itself") from error
    return jack
