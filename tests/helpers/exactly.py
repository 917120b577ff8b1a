"""What tests of the exact check's operators share: one model over doubles, beside what it should give."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend.test.case import node as node_cases
from onnx.backend.test.case.test_case import TestCase

from helpers.lying import made, normal
from onnx_n2n.exact import check
from onnx_n2n.exact import operators as _registered
from onnx_n2n.exact.files import File
from onnx_n2n.exact.reals import RealLine, Reals
from onnx_n2n.exact.run import Run
from onnx_n2n.exact.tensor import STRING, Tensor, Value, kind
from onnx_n2n.exact.undecided import Undecided

assert _registered
Feeds = Mapping[str, Any]
W = normal(8, 8)
OTHER_FILES = {"rangeop": "range"}  # node tests that lie in a file of another name than their operator's


def one_node(
    operator: str, inputs: Sequence[Any], outputs: int = 1, *, opset: int = 28, domain: str = "",
    given: Collection[int] | None = None, **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:  # fmt: skip
    """Return a model of one node, and its feeds.

    Args:
        operator: The node's operator.
        inputs: Arrays; None for an input that is not given.
        outputs: The number of outputs.
        opset: The version of the operator's domain.
        domain: The operator's domain.
        given: Slots that are inputs of the model; the others are constants. Only the first if not given.
        attributes: The node's attributes.
    """
    arrays = {f"in{slot}": np.asarray(each) for slot, each in enumerate(inputs) if each is not None}
    names = ["" if each is None else f"in{slot}" for slot, each in enumerate(inputs)]
    free = {f"in{slot}" for slot in ((0,) if given is None else given)} & set(arrays)
    node = helper.make_node(operator, names, [f"out{place}" for place in range(outputs)], domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [_described(name, arrays[name]) for name in arrays if name in free],
        [helper.make_value_info(name, onnx.TypeProto()) for name in node.output],
        [numpy_helper.from_array(array, name) for name, array in arrays.items() if name not in free],
    )
    imports = [helper.make_opsetid(domain, opset)] + ([helper.make_opsetid("", 21)] if domain else [])
    made = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return made, {name: arrays[name] for name in arrays if name in free}


def written(text: str, opset: int = 18, **weights: Any) -> onnx.ModelProto:
    """Return a model from ONNX's text and its constants; those that no node reads are left out."""
    return made(text, opset, {name: np.asarray(each) for name, each in weights.items()})


def net(body: str, out: str = "float[N, 8] y", opset: int = 18, **constants: Any) -> onnx.ModelProto:
    """Return a model of ``x``, float[N, 8], from ONNX's text and its constants; ``a`` is ``x`` times a matrix."""
    return written(f"(float[N, 8] x) => ({out}) {{ a = MatMul(x, W) {body} }}", opset, W=W, **constants)


def both(one: str, two: str, /, *more: str, **constants: Any) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return two models as `net` does, of which each has the constants that it reads."""
    return net(one, *more, **constants), net(two, *more, **constants)


def over_doubles(model: onnx.ModelProto, feeds: Feeds, constants: Collection[str] = ()) -> list[Value]:
    """Return what a model's outputs are over doubles.

    Args:
        model: The model.
        feeds: Its inputs; a sequence as a list, an optional that is empty as None.
        constants: Inputs that are taken as constants.

    Raises:
        Undecided: If it cannot be decided.
    """
    line = RealLine(0)
    run = Run(line, File(model))

    def entered(name: str, value: Any) -> Value:
        if value is None:
            return None
        if isinstance(value, list):
            return [entered(name, each) for each in value]
        array = np.asarray(value)
        if array.dtype.kind in "OSU" or name in constants:
            return run.constant(name, array)
        return Tensor(helper.np_dtype_to_tensor_dtype(array.dtype), None, Reals(line, array.astype(np.float64)))

    return list(run.outputs({name: entered(name, value) for name, value in feeds.items()}).values())


def elements(value: Value) -> Any:
    """Return a result's elements: float64, or what is known of a tensor that is not calculated with."""
    if value is None:
        return None
    if isinstance(value, list):
        return [elements(each) for each in value]
    return value.known if value.numbers is None else value.numbers.values


def assert_near(found: Value, expected: Any, rtol: float = 1e-3, atol: float = 1e-6) -> None:
    """Assert that a result has the type, shape and elements that it should have."""
    if isinstance(expected, list):
        assert isinstance(found, list)
        for each, other in zip(found, expected, strict=True):
            assert_near(each, other, rtol, atol)
        return
    if expected is None:
        assert found is None
        return
    assert isinstance(found, Tensor)
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    if expected.dtype.kind in "OSU":
        assert found.known is not None
        assert found.known.tolist() == expected.tolist()
        return
    assert kind(found.type) == expected.dtype
    np.testing.assert_allclose(np.asarray(elements(found), np.float64), expected.astype(np.float64), rtol, atol)


def as_runtime(model: onnx.ModelProto, feeds: Feeds, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Assert that a model over doubles gives what ONNX Runtime gives, or where it has no kernel, onnx's reference."""
    for found, expected in zip(over_doubles(model, feeds), calculated(model, feeds), strict=True):
        assert_near(found, expected, rtol, atol)


def calculated(model: onnx.ModelProto, feeds: Feeds) -> list[Any]:
    """Return what ONNX Runtime, or where it has no kernel, onnx's reference implementation gives."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return list(session.run(None, dict(feeds)))
    except Exception:
        from onnx.reference import ReferenceEvaluator

        return list(ReferenceEvaluator(model).run(None, dict(feeds)))


def cases(*operators: str) -> list[TestCase]:
    """Return the node tests of the onnx package that have one node, of one of those operators, in onnx's own domain."""
    wanted = {each.lower() for each in operators}
    for module in pkgutil.iter_modules(node_cases.__path__):
        plain = module.name.replace("_", "")
        if OTHER_FILES.get(plain, plain) in wanted:
            importlib.import_module(f"{node_cases.__name__}.{module.name}")
    return [
        case
        for case in node_cases._NodeTestCases
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in operators
    ]


def as_expected(case: TestCase, constants: Iterable[int] | None = None, rtol: float = 1e-3, atol: float = 1e-6) -> str:
    """Assert that a node test over doubles gives what it expects; return why it is undecided, or nothing.

    Args:
        case: The node test.
        constants: Which inputs are constants; if not given none, and if that is undecided, those behind the first that
            are whole numbers, decisions or texts, and at last all behind the first.
        rtol: Largest relative difference.
        atol: Largest absolute difference.
    """
    names = [each.name for each in case.model.graph.input]
    reason = ""
    for inputs, outputs in case.data_sets:
        feeds = {name: _array(value) for name, value in zip(names, inputs, strict=True)}
        whole = [n for n in names[1:] if not isinstance(feeds[n], list) and np.asarray(feeds[n]).dtype.kind in "biuOSU"]
        tries = [[], whole, names[1:]] if constants is None else [[names[place] for place in constants]]
        for chosen in tries:
            try:
                results = over_doubles(case.model, feeds, chosen)
            except Undecided as why:
                reason = why.reason
                continue
            for found, expected in zip(results, outputs, strict=True):
                assert_near(found, _array(expected), rtol, atol)
            break
        else:
            return reason
    return ""


def never_equal(one: onnx.ModelProto, two: onnx.ModelProto) -> None:
    """Assert that two models are not called equal, and that each is equal to itself."""
    for each in (one, two):
        verdict = check(each, each)
        assert verdict.state == "equal", verdict
    assert check(one, two).state != "equal"


def _array(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, onnx.SequenceProto):
        return numpy_helper.to_list(value)
    if isinstance(value, onnx.OptionalProto):
        return numpy_helper.to_optional(value)
    return [_array(each) for each in value] if isinstance(value, list) else value


def _described(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    type_ = STRING if array.dtype.kind in "OSU" else helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, type_, array.shape)
