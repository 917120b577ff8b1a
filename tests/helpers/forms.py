"""Forms of a growth record, evaluated with 60 digits from the models alone, and compared with what a student holds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, localcontext
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnx_n2n.io.tensorfile import from_bytes, parse
from onnx_n2n.record.record import Record

DIGITS = Context(prec=60)


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Return all constants of a model by name."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def setting(model: onnx.ModelProto, name: str) -> float:
    """Return an attribute of a node, or what its operator's definition says."""
    node, _, attribute = name.rpartition(".")
    (found,) = (each for each in model.graph.node if node in {each.name, each.output[0]})
    written = [helper.get_attribute_value(each) for each in found.attribute if each.name == attribute]
    if written:
        return float(written[0])
    version = next(each.version for each in model.opset_import if each.domain == found.domain)
    schema = onnx.defs.get_schema(found.op_type, version, found.domain)
    return float(helper.get_attribute_value(schema.attributes[attribute].default_value))


def decimals(array: np.ndarray | float) -> np.ndarray:
    return np.asarray(np.vectorize(lambda each: Decimal(float(each)), otypes=[object])(array))


def value(
    form: Mapping[str, Any], before: onnx.ModelProto, after: onnx.ModelProto, arrays: Mapping[str, Any]
) -> np.ndarray:
    """Return what a form says, as an array of decimals."""
    ((kind, inside),) = form.items()

    def part(each: Mapping[str, Any]) -> np.ndarray:
        return value(each, before, after, arrays)

    if kind == "number":
        return np.array(Decimal(inside[0]) / Decimal(inside[1]), object)
    if kind in {"tensor", "student"}:
        return decimals(constants(before if kind == "tensor" else after)[inside])
    if kind == "setting":
        return decimals(setting(before, inside))
    if kind == "array":
        return decimals(arrays[inside])
    if kind == "shaped":
        return part(inside[0]).reshape(inside[1])
    if kind == "power":
        exponent = Decimal(inside[1][0]) / Decimal(inside[1][1])
        return np.asarray(np.vectorize(lambda each: each**exponent, otypes=[object])(part(inside[0])))
    assert kind in {"times", "plus"}
    found, *others = map(part, inside)
    for other in others:
        found = np.asarray(found * other if kind == "times" else found + other, object)
    return found


def errors(
    record: Record, before: onnx.ModelProto, after: onnx.ModelProto
) -> tuple[dict[str, float], dict[str, float]]:
    """Return how far tensors and settings are off, in units in the last place: those with a form, and all others."""
    tensors, metadata = from_bytes(record.to_bytes())
    (step,) = parse(metadata["document"])["steps"]
    old, new = constants(before), constants(after)
    rounded: dict[str, float] = {}
    exact: dict[str, float] = {}
    with localcontext(DIGITS):
        for name, form in step.get("forms", {}).get("tensors", {}).items():
            rounded[name] = units(new[name], value(form, before, after, tensors))
        for name, form in step.get("forms", {}).get("settings", {}).items():
            rounded[name] = units(np.float32(setting(after, name)), value(form, before, after, tensors))
        for each in step["tensors"]:
            wanted = decimals(old[each["teacher"]])
            for axis in each["axes"]:
                wanted = _appended(wanted, axis, before, after, tensors)
            if "squared" in each:
                over, under = map(Decimal, each["squared"])
                offset = Decimal(each.get("offset", 0))
                wanted = (wanted + offset) * (over / under).sqrt() - offset
            kind = rounded if "squared" in each or any("form" in axis for axis in each["axes"]) else exact
            kind[each["student"]] = _off(new[each["student"]], wanted, each["axes"], tensors)
    return rounded, exact


def _appended(
    wanted: np.ndarray, axis: Mapping[str, Any], before: onnx.ModelProto, after: onnx.ModelProto, arrays: Any
) -> np.ndarray:
    """Append the row that an axis has."""
    if axis["row"] is None:
        return wanted
    rows = np.moveaxis(wanted, axis["axis"], 0)
    if axis["row"] == "ones":
        row = np.full(rows.shape[1:], Decimal(1), object)
    else:
        exact = value(axis["form"], before, after, arrays) if "form" in axis else decimals(arrays[axis["row"]])
        weights = np.broadcast_to(exact, (len(rows),)).reshape(-1, *[1] * (rows.ndim - 1))
        row = (rows * weights).sum(0)
    return np.moveaxis(np.concatenate([rows, np.asarray(row, object)[None]]), 0, axis["axis"])


def _off(stored: np.ndarray, wanted: np.ndarray, axes: list[Any], arrays: Any) -> float:
    """Return how far a grown weight is off, where its places are not fresh: of copies it is about their sum."""
    kind, grown = stored.dtype, decimals(stored)
    for axis in axes:
        index, place = arrays[axis["index"]], axis["axis"]
        copies = np.arange(len(index)) if axis["copies"] is None else arrays[axis["copies"]]
        share = np.ones(len(index)) if axis["share"] is None else arrays[axis["share"]]
        fresh = np.zeros(len(index), bool) if axis["fresh"] is None else arrays[axis["fresh"]].astype(bool)
        _, first = np.unique(copies[(share > 0) & ~fresh], return_index=True)
        first = np.flatnonzero((share > 0) & ~fresh)[first]
        wanted = np.take(wanted, index[first], axis=place)
        rows = np.moveaxis(grown, place, 0)
        sums = [rows[(copies == copies[each]) & (share > 0) & ~fresh].sum(0) for each in first]
        grown = np.moveaxis(np.array(sums, object), 0, place)
    return units(grown, wanted, kind)


def units(stored: np.ndarray | np.floating[Any], wanted: np.ndarray, dtype: np.dtype | None = None) -> float:
    """Return how far numbers are off, in units in the last place of their type."""
    kind = dtype or stored.dtype
    info = ml_dtypes.finfo(kind)
    found = np.asarray(stored) if stored.dtype == object else decimals(stored)
    wanted = np.broadcast_to(wanted, found.shape)
    _, exponents = np.frexp(np.maximum(np.abs(wanted.astype(np.float64)), float(info.tiny)))
    last = np.ldexp(1.0, exponents - 1 - info.nmant)
    all_of_them = zip(found.flat, wanted.flat, last.flat, strict=True)
    return max((float(abs(one - other) / Decimal(float(unit))) for one, other, unit in all_of_them), default=0)
