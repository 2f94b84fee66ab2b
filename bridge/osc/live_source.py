"""What a live stream takes in: a file, JACK, or a sound card."""

from dataclasses import dataclass
from typing import Literal

from soundlasso.dsp.errors import SoundlassoError

MAX_CHANNELS = 64


@dataclass(frozen=True, slots=True)
class LiveSource:
    """What goes in.

    Attributes
    ----------
    name
        The file; or the JACK server's or sound card's name, empty for the usual one.
    channels
        Of JACK or the sound card; a file has its own.
    """

    kind: Literal["file", "jack", "device"]
    name: str
    channels: int = 2


def parse_source(text: str, channels: int = 2) -> LiveSource:
    """Read ``jack``, ``jack:SERVER``, ``device``, ``device:NAME``, or the path of a file.

    Raises
    ------
    SoundlassoError
        It is none of them.
    """
    kind, _, name = text.partition(":")
    if not 1 <= channels <= MAX_CHANNELS:
        raise SoundlassoError(f"{channels!r} channels are impossible; choose 1 to {MAX_CHANNELS}")
    if kind == "jack":
        return LiveSource("jack", name, channels)
    if kind == "device":
        return LiveSource("device", name, channels)
    if not text:
        raise SoundlassoError("nothing to play; choose jack, device or a file")
    return LiveSource("file", text)
