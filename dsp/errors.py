"""The errors that soundlasso raises on purpose, drawn once.

* SoundlassoError
  x QueryError (ValueError): a text that cannot be a query
  x AudioError (ValueError): samples that cannot be processed (NaN, wrong shape, wrong rate)
    + AudioFileError: a file that cannot be read or written whole
  x ModelError (RuntimeError): weights that are missing, damaged or for another network
    + UnknownModelError (LookupError): a name that is not in the catalogue
  x PresetError (ValueError): a preset that cannot be read, or says what cannot be
    + UnknownPresetError (LookupError): a name that no preset has
  x Cancelled: the caller asked to stop
"""


class SoundlassoError(Exception):
    """Base of all errors that soundlasso raises on purpose."""


class QueryError(SoundlassoError, ValueError):
    """A text that cannot be a query."""


class AudioError(SoundlassoError, ValueError):
    """Samples that cannot be processed; the text says which and why."""


class AudioFileError(AudioError):
    """A file that cannot be read or written whole."""


class ModelError(SoundlassoError, RuntimeError):
    """Weights that are missing, damaged or made for another network."""


class UnknownModelError(ModelError, LookupError):
    """A model name that is not in the catalogue."""


class PresetError(SoundlassoError, ValueError):
    """A preset that cannot be read, or that says what cannot be; the text lists every mistake."""


class UnknownPresetError(PresetError, LookupError):
    """A name that no preset has."""


class Cancelled(SoundlassoError):
    """The caller asked to stop; nothing half-done was left behind."""
