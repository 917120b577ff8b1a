"""How a step of a record is written down as a part of its document, and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from onnx_n2n.record.forms import Form, Forms, mapped
from onnx_n2n.record.mixture import Mixture
from onnx_n2n.record.recipe import Recipe, Row, Summed
from onnx_n2n.record.steps import New, Remade, Step


class NamedArrays:
    """The arrays of a file; equal ones are written once."""

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self, array: np.ndarray | None) -> str | None:
        """Return the name of an array, None for none."""
        if array is None:
            return None
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"{len(self._known)}"
            self.tensors[self._known[key]] = array
        return self._known[key]


def to_document(step: Step, arrays: NamedArrays) -> dict[str, Any]:
    """Return a step as JSON takes it; its arrays get names."""
    return {
        "pass": step.text,
        "seed": step.seed,
        "parent": step.parent,
        "tensors": [_tensor_document(each, arrays) for each in step.remade],
        "new": [{key: value for key, value in asdict(each).items() if key != "made" or value} for each in step.new],
        "settings": {name: list(pair) for name, pair in step.settings.items()},
        "apart": [_tensor_document(each, arrays) for each in step.apart],
        "multiplied": list(step.multiplied),
        "gained": list(step.gained),
        **({"forms": forms} if any((forms := _forms_document(step.forms, arrays)).values()) else {}),
        **({"outputs": list(step.outputs)} if step.outputs else {}),
        **({"gone": list(step.gone)} if step.gone else {}),
    }


def _forms_document(forms: Forms, arrays: NamedArrays) -> dict[str, dict[str, Form]]:
    return {
        "tensors": {name: mapped(form, arrays.name) for name, form in forms.tensors.items()},
        "settings": {name: mapped(form, arrays.name) for name, form in forms.settings.items()},
    }


def _tensor_document(remade: Remade, arrays: NamedArrays) -> dict[str, Any]:
    recipe = remade.recipe
    summed = {part.axis: part for part in recipe.summed}
    axes = []
    for axis, index in enumerate(recipe.index):
        if index is None:
            continue
        row = recipe.rows[axis] if axis < len(recipe.rows) else None
        fresh = recipe.fresh[axis] if axis < len(recipe.fresh) else None
        part = summed.get(axis)
        axes.append(
            _mixture_document(recipe.mixed[axis] if axis < len(recipe.mixed) else None, arrays)
            | {
                "axis": axis,
                "role": "reads" if part is not None else "makes",
                "index": arrays.name(index),
                "share": arrays.name(part.share if part is not None else None),
                "copies": arrays.name(part.key if part is not None else None),
                "gradient": arrays.name(remade.dual[axis]),
                "fresh": arrays.name(None if fresh is None else fresh.astype(np.uint8)),
                "row": None if row is None else "ones" if row.combination is None else arrays.name(row.combination),
                **({} if row is None or row.form is None else {"form": row.form}),
            }
        )
    return {
        "teacher": remade.teacher,
        "student": remade.student,
        "readers": list(remade.readers),
        "before": list(remade.before),
        "after": list(remade.after),
        "axes": axes,
        "scale": recipe.scale,
        "noise": recipe.noise,
        "seed": list(recipe.seed),
        "zero": arrays.name(recipe.zero),
        **({"law": recipe.law} if recipe.law > 1 else {}),
        **({} if recipe.squared is None else {"squared": list(recipe.squared)}),
        **({"offset": recipe.offset} if recipe.offset else {}),
    }


def _mixture_document(mixture: Mixture | None, arrays: NamedArrays) -> dict[str, Any]:
    """Return what is said of a mixture: nothing where there is none, as in records of before there were any."""
    if mixture is None:
        return {}
    return {"sources": arrays.name(mixture.sources), "weights": arrays.name(mixture.weights)}


def from_document(entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Step:
    """Return the step that an entry of a document says, which has been checked, with the arrays of the file."""
    return Step(
        entry["pass"],
        entry["seed"],
        entry["parent"],
        tuple(_remade(each, arrays) for each in entry["tensors"]),
        tuple(_new(each) for each in entry["new"]),
        {name: (before, after) for name, (before, after) in entry["settings"].items()},
        tuple(_remade(each, arrays) for each in entry.get("apart", ())),
        tuple(entry.get("multiplied", ())),
        tuple(entry.get("gained", ())),
        _forms(entry.get("forms", {"tensors": {}, "settings": {}}), arrays),
        tuple(entry.get("outputs", ())),
        tuple(entry.get("gone", ())),
    )


def _forms(entry: Mapping[str, Mapping[str, Form]], arrays: Mapping[str, np.ndarray]) -> Forms:
    def read(forms: Mapping[str, Form]) -> dict[str, Form]:
        return {name: mapped(form, arrays.__getitem__) for name, form in forms.items()}

    return Forms(read(entry["tensors"]), read(entry["settings"]))


def _new(entry: Mapping[str, Any]) -> New:
    lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    return New(**{**entry, **lists})


def _remade(entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Remade:
    before = tuple(entry["before"])
    axes = {each["axis"]: each for each in entry["axes"]}

    def array(name: str | None) -> np.ndarray | None:
        return None if name is None else arrays[name]

    def each(key: str) -> tuple[np.ndarray | None, ...]:
        return tuple(array(axes[axis].get(key)) if axis in axes else None for axis in range(len(before)))

    summed = tuple(
        Summed(axis, arrays[found["share"]], arrays[found["copies"]])
        for axis, found in axes.items()
        if found["share"] is not None
    )
    rows = tuple(
        None if axis not in axes or axes[axis]["row"] is None
        else Row(None if axes[axis]["row"] == "ones" else arrays[axes[axis]["row"]], axes[axis].get("form"))
        for axis in range(len(before))
    )  # fmt: skip
    fresh = tuple(None if flags is None else flags.astype(bool) for flags in each("fresh"))
    seed = tuple(entry["seed"])
    zero = array(entry["zero"])
    zero = zero.reshape(()) if zero is not None and zero.size == 1 else zero  # once written as a vector
    law = entry.get("law", 1)  # the first records have none
    squared = tuple(entry["squared"]) if "squared" in entry else None
    mixed = tuple(
        None if sources is None or weights is None else Mixture(sources, weights)
        for sources, weights in zip(each("sources"), each("weights"), strict=True)
    )
    parts = each("index"), summed, fresh, rows
    offset = entry.get("offset", 0.0)
    recipe = Recipe(*parts, entry["scale"], entry["noise"], seed, zero, mixed, law, squared, offset)
    return Remade(entry["teacher"], entry["student"], before, recipe, each("gradient"), tuple(entry["readers"]))
