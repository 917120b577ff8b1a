"""A JSON schema of recipes, for editors: ``python -m onnx_n2n.passes.recipe_schema > docs/recipe.schema.json``.

It is made of the options that passes and functions state. Passes of other packages are not in it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from types import NoneType
from typing import Any, get_args, get_origin

from onnx_n2n.options import Option, options
from onnx_n2n.passes.base import Pass
from onnx_n2n.passes.recipes import KEYS
from onnx_n2n.passes.sequential import PASSES

SCALARS = {bool: "boolean", int: "integer", str: "string"}
TEXT = "Passes as 'run' takes them, as widen{factor=1.5},deepen."


def schema() -> dict[str, Any]:
    """Return the schema, of draft 2020-12."""
    passes = [{"type": "string", "description": TEXT}, *(_pass(name, kind) for name, kind in PASSES.items())]
    steps = {"type": "array", "items": {"anyOf": passes}, "minItems": 1}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A recipe of onnx-n2n",
        **_object({
            "passes": {"description": "What is done, in this order.", "anyOf": [passes[0], steps]},
            **{name: _option(each) for name, each in KEYS.items()},
        }),
        "required": ["passes"],
    }  # fmt: skip


def _pass(name: str, kind: type[Pass]) -> dict[str, Any]:
    given = _object({each.word: _option(each) for each in options(kind)})
    either = {"anyOf": [given, {"type": "null"}]}
    return {"description": (kind.__doc__ or "").partition("\n")[0], **_object({name: either}), "required": [name]}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _option(each: Option) -> dict[str, Any]:
    found = {"description": each.said.sentence, **({"type": "string"} if each.is_path else _kind(each.scalar))}
    if each.scalar is float and each.said.least is None:
        found = {"description": each.said.sentence, "anyOf": [{"type": "number"}, {"const": "inf"}]}
    limits = {"minimum": each.said.least, "maximum": each.said.most, "exclusiveMinimum": each.said.above}
    found |= {name: limit for name, limit in limits.items() if limit is not None}
    if isinstance(each.default, str | int | float) and each.default != "" and not each.said.usual:
        found["default"] = each.default
    return found


def _kind(kind: Any) -> dict[str, Any]:
    """Return what values of a type are in JSON; those of an unknown one are anything."""
    origin, inside = get_origin(kind) or kind, [each for each in get_args(kind) if each is not NoneType]
    if inside and all(isinstance(each, str) for each in inside):
        return {"enum": inside}
    if origin in {Sequence, Collection}:
        entry = _kind(inside[0])
        return {"anyOf": [entry, {"type": "array", "items": entry}]}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _kind(inside[1])}
    if origin is tuple:
        return {"type": "array", "items": _kind(inside[0])}
    if origin is float:
        return {"type": "number"}
    if str in inside:  # a path
        return {"type": "string"}
    return {"type": SCALARS[origin]} if origin in SCALARS else {}


if __name__ == "__main__":
    json.dump(schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
