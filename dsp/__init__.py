"""Arrays in, arrays out: transforms, streaming resampling, gates and metrics.

Nothing here knows a model, a file or a host.
"""
