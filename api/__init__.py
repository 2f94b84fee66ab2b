"""soundlasso: name a sound, get its stem."""

__version__ = "0.1.0"
