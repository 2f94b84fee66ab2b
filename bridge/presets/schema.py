"""The JSON Schema of presets, made from their dataclasses, for editors that complete and check.

Reference: https://json-schema.org/draft/2020-12.
"""

import dataclasses
from typing import Any, Literal, get_args, get_origin

from soundlasso.bridge.presets.chains import EFFECT, PLUGIN, Link, effects, parameters
from soundlasso.bridge.presets.fields import hint_of, keys_of
from soundlasso.bridge.presets.preset import Preset, Stem

Schema = dict[str, Any]
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}
_PLAIN = {"type": ["number", "boolean", "string"]}


def preset_schema() -> Schema:
    """Return the schema that every preset file keeps."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "soundlasso preset",
        **_table(Preset),
        "$defs": {"link": _link()},
    }


def _table(cls: type) -> Schema:
    fields = keys_of(cls)
    schema: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: _field(cls, field) for key, field in fields.items()},
    }
    required = [key for key, field in fields.items() if field.default is dataclasses.MISSING]
    return schema | ({"required": required} if required else {})


def _field(cls: type, field: dataclasses.Field[Any]) -> Schema:
    schema: Schema = {"description": field.metadata["help"], **_value(hint_of(cls, field)[0])}
    for name, limit in (("minimum", field.metadata["low"]), ("maximum", field.metadata["high"])):
        if limit is not None:
            schema[name] = limit
    if isinstance(field.default, str | bool | int | float):
        schema["default"] = field.default
    return schema


def _value(hint: Any) -> Schema:
    if dataclasses.is_dataclass(hint):
        return _table(hint)  # type: ignore[arg-type]
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) is tuple:
        return _list(get_args(hint)[0])
    return {"type": _TYPES[hint]}


def _list(item: Any) -> Schema:
    if item is Stem:
        return {"type": "object", "minProperties": 1, "additionalProperties": _table(Stem)}
    if item is Link:
        return {"type": "array", "items": {"$ref": "#/$defs/link"}}
    texts = {"type": "array", "items": _value(item)}
    return {"anyOf": [{"type": "string"}, texts]} if item is str else texts


def _link() -> Schema:
    plugin = {
        "type": "object",
        "properties": {PLUGIN: {"type": "string", "description": "A plugin's name or file."}},
        "required": [PLUGIN],
        "not": {"required": [EFFECT]},
        "additionalProperties": _PLAIN,
    }
    return {"oneOf": [plugin, *(_effect(name) for name in effects())]}


def _effect(name: str) -> Schema:
    return {
        "type": "object",
        "properties": {EFFECT: {"const": name}, **{k: _parameter(v) for k, v in parameters(name).items()}},
        "required": [EFFECT],
        "additionalProperties": False,
    }


def _parameter(usual: Any) -> Schema:
    if isinstance(usual, tuple):
        return {"enum": list(usual), "default": usual[0]}
    if isinstance(usual, bool):
        return {"type": "boolean", "default": usual}
    return {"type": "number", "default": round(usual, 4)} if isinstance(usual, float | int) else _PLAIN
