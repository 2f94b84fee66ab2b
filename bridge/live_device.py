"""Live audio by PortAudio, for sound cards on every system."""

import threading
from typing import Any

from soundlasso.bridge.live import LiveEngine, LiveError


class DeviceStream:
    """A sound card, in and out at once.

    Parameters
    ----------
    device
        Name or part of it, or number, as `sounddevice.query_devices` lists them; None is the usual one.
    channels
        How many each way.
    sample_rate
        In Hz; None is the device's own.
    block_samples
        Samples per block; 0 leaves it to the device.

    Attributes
    ----------
    xruns
        How often the device was late.
    ended
        Set when the device has stopped; `reason` says why.

    Raises
    ------
    LiveError
        No such device, it cannot do this, or sounddevice is not installed.
    """

    def __init__(
        self,
        device: str | int | None = None,
        channels: int = 2,
        *,
        sample_rate: float | None = None,
        block_samples: int = 0,
    ) -> None:
        self._sounddevice = load_sounddevice()
        self.xruns = 0
        self.ended = threading.Event()
        self.reason = ""
        self._engine: LiveEngine | None = None
        try:
            self._stream = self._sounddevice.Stream(
                device=device, channels=channels, samplerate=sample_rate, blocksize=block_samples,
                dtype="float32", callback=self._process, finished_callback=self._finish,
            )  # fmt: skip
        except (self._sounddevice.PortAudioError, ValueError) as error:
            wanted = "the usual device" if device is None else f"device {device!r}"
            raise LiveError(f"cannot open {wanted} with {channels} channels: {error}") from error
        self.sample_rate = float(self._stream.samplerate)
        self.block_samples = int(self._stream.blocksize)

    def play(self, engine: LiveEngine) -> None:
        """Begin to play."""
        self._engine = engine
        try:
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            raise LiveError(f"cannot start the device: {error}") from error

    def _process(self, block: Any, out: Any, frames: int, moment: Any, status: Any) -> None:
        if status:
            self.xruns += 1
        assert self._engine is not None, "audio before play()"
        self._engine.exchange(block.T, out.T)

    def _finish(self) -> None:
        self.reason = self.reason or "the device stopped"
        self.ended.set()

    def close(self) -> None:
        """Leave the device."""
        self._stream.close()

    def __enter__(self) -> "DeviceStream":
        """Return the stream."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the device."""
        self.close()


def load_sounddevice() -> Any:
    """Import sounddevice.

    Raises
    ------
    LiveError
        It is not installed; the text says how to.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the module is there, PortAudio is not
        raise LiveError("sounddevice is not installed; install it from PyPI, and PortAudio") from error
    return sounddevice
