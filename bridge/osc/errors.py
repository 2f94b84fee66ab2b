"""The one error of the OSC server: a refusal with a code that a client can act on."""

from typing import Literal

from soundlasso.dsp.errors import SoundlassoError

Code = Literal[
    "unknown_address",
    "bad_args",
    "out_of_range",
    "malformed",
    "too_large",
    "bad_path",
    "not_found",
    "unsupported_format",
    "no_input",
    "exists",
    "busy",
    "queue_full",
    "model_error",
    "audio_error",
    "out_of_memory",
    "disk_full",
    "cancelled",
    "timeout",
    "worker_crashed",
    "too_far",
    "forbidden",
    "rate_limited",
    "internal",
]


class OscError(SoundlassoError, ValueError):
    """A packet or command that is refused; answered with `/lasso/fail address code message`.

    Parameters
    ----------
    code
        One of `Code`; part of the protocol, never changes its meaning.
    message
        What is wrong, with the value, and what would be right.

    Attributes
    ----------
    ids
        What the refusal names at its end: the job that will not be.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.ids: tuple[str, ...] = ()


INTERNAL = OscError("internal", "a fault of the server; its log tells more")
