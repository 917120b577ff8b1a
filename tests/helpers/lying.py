"""What the attacks on the exact check share: a pair of models from ONNX's text, and the proof that they differ.

A *lie* is a teacher and a student that do not compute the same. `differ` runs both, so that a pair that is no lie
cannot pass for one. A *truth* is a pair that computes the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from _pytest.mark.structures import ParameterSet
from onnx import helper, numpy_helper, parser

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Any]
SIZES = ({}, {"N": 3, "L": 6}, {"N": 5, "L": 24, "H": 13, "W": 9}, {"N": 2, "L": 11, "H": 30, "W": 21})
"""Sizes of free axes that `differ` tries in turn; an axis that is not named takes 4 and more."""


@dataclass(frozen=True)
class Pair:
    """Two models.

    Attributes:
        name: The test's name.
        teacher: The text of the teacher's graph, `(inputs) => (outputs) { nodes }`.
        student: The text of the student's graph.
        weights: The teacher's initializers.
        changed: Those that are others in the student.
        opset: The version of ONNX's domain.
        student_opset: The student's, if it is another.
        feeds: An input on which they differ; drawn if empty.
        functions: The text of the teacher's local functions.
        student_functions: The student's, if they are others.
        imports: Other domains and their versions.
        edit: What is done to the student, and cannot be written in text.
        both: What is done to both.
        runs: How often the check is asked: more than once where its chance is what is attacked.
        specified: They differ by ONNX's specification, and neither runtime implements it.
    """

    name: str
    teacher: str
    student: str
    weights: Mapping[str, Array] = field(default_factory=dict)
    changed: Mapping[str, Array] = field(default_factory=dict)
    opset: int = 18
    student_opset: int = 0
    feeds: Feeds = field(default_factory=dict)
    functions: str = ""
    student_functions: str = ""
    imports: Mapping[str, int] = field(default_factory=dict)
    edit: Callable[[onnx.ModelProto], None] | None = None
    both: Callable[[onnx.ModelProto], None] | None = None
    runs: int = 1
    specified: bool = False

    def models(self) -> tuple[onnx.ModelProto, onnx.ModelProto]:
        """Return the teacher and the student."""
        teacher = made(self.teacher, self.opset, self.weights, self.functions, self.imports)
        student = made(
            self.student,
            self.student_opset or self.opset,
            {**self.weights, **self.changed},
            self.student_functions or self.functions,
            self.imports,
        )
        for each in (teacher, student):
            if self.both is not None:
                self.both(each)
        if self.edit is not None:
            self.edit(student)
        return teacher, student


def pair(
    name: str, interface: str, teacher: str, student: str = "", *, changed: Mapping[str, Any] | None = None,
    opset: int = 18, student_opset: int = 0, feeds: Feeds | None = None, functions: str = "",
    student_functions: str = "", imports: Mapping[str, int] | None = None, student_interface: str = "",
    edit: Callable[[onnx.ModelProto], None] | None = None, both: Callable[[onnx.ModelProto], None] | None = None,
    runs: int = 1, specified: bool = False, **weights: Any,
) -> Pair:  # fmt: skip
    """Return a pair from an interface and the nodes of both, which are the same if only the teacher's are given."""
    return Pair(
        name,
        f"{interface} {{ {teacher} }}",
        f"{student_interface or interface} {{ {student or teacher} }}",
        {key: np.asarray(value) for key, value in weights.items()},
        {key: np.asarray(value) for key, value in (changed or {}).items()},
        opset, student_opset, feeds or {}, functions, student_functions, imports or {}, edit, both, runs, specified,
    )  # fmt: skip


def cases(pairs: Sequence[Pair]) -> list[ParameterSet]:
    """Return the cases of a test over pairs."""
    return [pytest.param(each, id=each.name) for each in pairs]


def made(
    text: str, opset: int, weights: Mapping[str, Array], functions: str = "", imports: Mapping[str, int] | None = None
) -> onnx.ModelProto:
    """Return a model from its text; initializers that no node reads are left out."""
    domains = "".join(f', "{name}": {version}' for name, version in (imports or {}).items())
    head = f'<ir_version: {11 if opset > 22 else 10}, opset_import: ["": {opset}{domains}]>'
    model = parser.parse_model(f"{head} g {text} {functions}")
    for name, array in weights.items():
        if re.search(rf"\b{name}\b", text):
            model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def normal(*shape: int, seed: int = 0) -> Array:
    """Return float32 weights."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def but(array: Array, place: Any, value: Any) -> Array:
    """Return an array that has another element, row or block somewhere."""
    copy = array.copy()
    copy[place] = value
    return copy


def differ(teacher: onnx.ModelProto, student: onnx.ModelProto, feeds: Feeds) -> bool:
    """Say whether two models differ: in their interface, or in what they give for feeds or for some that are drawn."""
    if _interface(teacher) != _interface(student):
        return True
    tries = [feeds] if feeds else [drawn(teacher, seed) for seed in range(12)]
    return any(_differ(teacher, student, each) for each in tries)


def drawn(model: onnx.ModelProto, seed: int) -> dict[str, Any]:
    """Return random inputs; sizes of free axes are those of `SIZES` in turn."""
    generator, fixed = np.random.default_rng(seed), {each.name for each in model.graph.initializer}
    sizes, result = dict(SIZES[seed % len(SIZES)]), {}
    for each in model.graph.input:
        if each.name in fixed:
            continue
        tensor = each.type.tensor_type
        shape = [
            d.dim_value if d.HasField("dim_value") else sizes.setdefault(d.dim_param, 4 + 3 * len(sizes) + seed)
            for d in tensor.shape.dim
        ]
        kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if kind.kind == "b":
            result[each.name] = generator.random(shape) < 0.5
        elif kind.kind in "iu":
            result[each.name] = generator.integers(0, 3 + 3 * seed, shape).astype(kind)
        else:
            result[each.name] = (generator.standard_normal(shape) * (1 + seed)).astype(np.float32).astype(kind)
    return result


def calculated(model: onnx.ModelProto, feeds: Feeds) -> list[Any] | str:
    """Return what ONNX Runtime or else onnx's reference implementation gives, or why it fails."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    feeds = {name: value for name, value in feeds.items() if name in {each.name for each in model.graph.input}}
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return list(session.run(None, dict(feeds)))
    except Exception as why:
        from onnx.reference import ReferenceEvaluator

        try:
            return list(ReferenceEvaluator(model).run(None, dict(feeds)))
        except Exception:
            return str(why)


def _differ(teacher: onnx.ModelProto, student: onnx.ModelProto, feeds: Feeds) -> bool:
    expected, found = calculated(teacher, feeds), calculated(student, feeds)
    assert not isinstance(expected, str), f"the teacher cannot be run: {expected}"
    if isinstance(found, str):
        return True
    return len(expected) != len(found) or any(_unequal(a, b) for a, b in zip(expected, found, strict=True))


def _unequal(one: Any, two: Any) -> bool:
    if isinstance(one, list) or isinstance(two, list):
        return len(one) != len(two) or any(_unequal(a, b) for a, b in zip(one, two, strict=True))
    if one is None or two is None:
        return one is not two
    one, two = np.asarray(one), np.asarray(two)
    if one.dtype != two.dtype or one.shape != two.shape:
        return True
    if one.dtype.kind in "OSU":
        return bool((one != two).any())
    if one.dtype.kind in "iub":
        return bool((one != two).any())
    a, b = one.astype(np.float64), two.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return True
    scale = max(np.abs(a[finite]).max(initial=0), np.abs(b[finite]).max(initial=0), 1e-30)
    return bool(np.abs(a[finite] - b[finite]).max(initial=0) > 1e-5 * scale)


def _interface(model: onnx.ModelProto) -> list[Any]:
    fixed = {each.name for each in model.graph.initializer}
    inputs = [(each.name, _described(each), each.name in fixed) for each in model.graph.input]
    return [inputs, [(each.name, each.type.tensor_type.elem_type) for each in model.graph.output]]


def _described(value: onnx.ValueInfoProto) -> Any:
    tensor = value.type.tensor_type
    return tensor.elem_type, [each.dim_value for each in tensor.shape.dim]


assert ml_dtypes  # gives NumPy the 16-bit, 8-bit and 4-bit kinds
