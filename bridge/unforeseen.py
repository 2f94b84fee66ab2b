"""Why something failed, in words for whoever asked: one bad file must not end the work on the others."""

import logging

from soundlasso.dsp.errors import SoundlassoError

LOG = logging.getLogger(__name__)


def reason_of(error: Exception, doing: str) -> str:
    """Say why something failed; of an error that nobody foresaw, the kind too, and its traceback is logged.

    Parameters
    ----------
    error
        What was raised.
    doing
        What was tried, such as ``rendering 'a.wav'``.
    """
    if isinstance(error, (SoundlassoError, OSError)):
        return str(error)
    LOG.error("%s failed", doing, exc_info=error)
    return f"{doing} failed: {type(error).__name__}: {error}"
