"""soundlasso: name a sound, get its stem.

    import soundlasso
    drums = soundlasso.separate(audio, 44100, "drums")

* `separate`: arrays in, stems out
* `render`: a file in, files out
* `SeparationStream`: the same, block by block
* `load_model`: a model by name, a `Separator`
* `Separate`, `Stems`: separation as an effect
* `Board`, `Mix`: pedalboard chains that take such effects
* `HostedPlugin`: a third-party plugin in a process of its own
* `load_preset`: a whole job by name, as a board or for files

Everything else is a module: `soundlasso.bridge` (files, effects, live, OSC), `soundlasso.models`,
`soundlasso.dsp`.  Importing soundlasso loads no torch; the first use of a name does.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundlasso.bridge.board import Board
    from soundlasso.bridge.hosted import HostedPlugin
    from soundlasso.bridge.mix import Mix
    from soundlasso.bridge.presets.library import load_preset
    from soundlasso.bridge.render import render
    from soundlasso.bridge.separate import Separate
    from soundlasso.bridge.stems import Stems
    from soundlasso.models.offline import separate
    from soundlasso.models.separator import Separator as Separator
    from soundlasso.models.separator import load_model
    from soundlasso.models.stream import SeparationStream

__version__ = "0.1.0"
__all__ = [
    "Board",
    "HostedPlugin",
    "Mix",
    "Separate",
    "SeparationStream",
    "Stems",
    "load_model",
    "load_preset",
    "render",
    "separate",
]

_HOMES = {
    "Board": "soundlasso.bridge.board",
    "HostedPlugin": "soundlasso.bridge.hosted",
    "Mix": "soundlasso.bridge.mix",
    "Separate": "soundlasso.bridge.separate",
    "SeparationStream": "soundlasso.models.stream",
    "Separator": "soundlasso.models.separator",
    "Stems": "soundlasso.bridge.stems",
    "load_model": "soundlasso.models.separator",
    "load_preset": "soundlasso.bridge.presets.library",
    "render": "soundlasso.bridge.render",
    "separate": "soundlasso.models.offline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'soundlasso' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
