"""Lies about what surrounds the nodes: interfaces, functions, subgraphs, training, chance, stored tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from helpers.lying import Pair, but, normal, pair

W, V = normal(8, 8), normal(8, 5)
ROWS = "(float[N, 8] x) => (float[N, 5] y)"
SAME = "(float[N, 8] x) => (float[N, 8] y)"
TWO_OUT = "(float[N, 8] x) => (float[N, 8] p, float[N, 8] q)"
TWO_IN = "(float[N, 8] x, float[N, 8] z) => (float[N, 8] y)"
DECIDED = "(float[N, 8] x, bool c) => (float[N, 8] y)"
NET = "a = MatMul(x, W) b = Relu(a) y = MatMul(b, V)"
MY = {"my": 1}
HEAD = '<domain: "my", opset_import: ["": 18]>'
Edit = Callable[[onnx.ModelProto], None]


def function(
    name: str,
    teacher: str,
    student: str,
    one: str = "y = my.F(x)",
    two: str = "",
    *,
    interface: str = SAME,
    **more: Any,
) -> Pair:
    """A pair of models with a local function of domain `my`."""
    return pair(
        name,
        interface,
        one,
        two or one,
        functions=HEAD + teacher,
        student_functions=HEAD + student,
        **{"imports": MY, **more},
    )


def branches(
    name: str, one: tuple[str, str], two: tuple[str, str], interface: str = DECIDED, condition: str = "", **more: Any
) -> Pair:
    """A pair of models with two branches, which give `p` and `q`."""
    then, other = ("then_branch = t () => (float[N, 8] p) {{ {} }}", "else_branch = e () => (float[N, 8] q) {{ {} }}")
    text = [f"{condition} y = If(c) <{then.format(a)}, {other.format(b)}>" for a, b in (one, two)]
    return pair(name, interface, *text, **more)


def loop(name: str, one: str, two: str = "", **more: Any) -> Pair:
    """A pair of models with a loop of `k` trips whose body gives `more` and `o` from `s`."""
    text = [
        "y = Loop(k, t, x) <body = b (int64 i, bool c, float[N, 8] s) => (bool d, float[N, 8] o) { " + each + " }>"
        for each in (one, two or one)
    ]
    return pair(name, SAME, *text, **{"k": np.int64(3), "t": np.bool_(True), "half": np.float32(0.5), **more})


def overridable(model: onnx.ModelProto) -> None:
    """Make the constants inputs that have defaults."""
    model.graph.input.extend(
        helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in model.graph.initializer
    )


def outputs_exchanged(model: onnx.ModelProto) -> None:
    outputs = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(outputs[::-1])


def inputs_exchanged(model: onnx.ModelProto) -> None:
    inputs = list(model.graph.input)
    del model.graph.input[:]
    model.graph.input.extend(inputs[::-1])


def constant_input(model: onnx.ModelProto) -> None:
    del model.graph.input[:]
    model.graph.initializer.append(numpy_helper.from_array(normal(3, 8), "x"))


def shadowed_input(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(normal(3, 8), "x"))


def with_overload(name: str) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        other = onnx.FunctionProto()
        other.CopyFrom(model.functions[0])
        other.overload = "second"
        other.node[0].op_type = "Sigmoid"
        model.functions.append(other)
        model.graph.node[0].overload = name

    return edit


def sparse(index: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        values = numpy_helper.from_array(np.array([2.0, 3.0], "f4"), "W")
        places = numpy_helper.from_array(np.array([1, index], "i8"), "places")
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [8, 8]))

    return edit


def one_trip_less(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.int64(2), "k"))


def other_metadata(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


NORM = {"g": normal(4), "b": normal(4, seed=1), "m": normal(4, seed=2), "v": np.abs(normal(4)) + 0.5}
IMAGE = "(float[N, 4, 6, 8] x) => (float[N, 4, 6, 8] y)"
SCAN = "(float[N, L, 8] x) => (float[N, 8] y, float[N, L, 8] z)"
SCANNED = ("h0 = ReduceMean<keepdims=0>(x, ax) y, z = Scan{}(h0, x) <num_scan_inputs = 1{}, body = b (float[N, 8] h, "
         "float[N, 8] e) => "
           "(float[N, 8] g, float[N, 8] o) {{ d = Add(h, e) g = Relu(d) o = {} }}>")  # fmt: skip
SCANS = "scan_input_axes = [1], scan_output_axes = [1]"

LIES = [
    # the trial's lies 20 to 28
    pair("second output missing", TWO_OUT, "p = MatMul(x, W) q = Relu(p)", "p = MatMul(x, W)",
         student_interface="(float[N, 8] x) => (float[N, 8] p)", W=W),
    pair("input that is a constant", ROWS, NET, W=W, V=V, edit=constant_input), pair("input that has a default", ROWS,
         NET, W=W, V=V, edit=shadowed_input),
    pair("outputs renamed", TWO_OUT, "p = MatMul(x, W) q = Relu(x)", "q = MatMul(x, W) p = Relu(x)", W=W,
         edit=outputs_exchanged),
    function("Relu of another domain", "Relu (a) => (b) { b = Neg(a) }", "Relu (a) => (b) { b = Neg(a) }",
         "y = Relu(x)", "y = my.Relu(x)"),
    pair("norm in training", IMAGE, "y = BatchNormalization(x, g, b, m, v)",
         "y, mm, vv = BatchNormalization<training_mode=1>(x, g, b, m, v)", **NORM, opset=15),
    pair("dropout in training", SAME, "y = Identity(x)", "y = Dropout(x, r, t)", r=np.float32(0.5), t=np.bool_(True),
         feeds={"x": np.ones((30, 8), "f4")}),
    pair("random numbers that cancel", SAME, "y = Identity(x)", "a = RandomNormalLike(x) b = RandomNormalLike(x) d = "
         "Sub(a, b) y = Add(x, d)"),
    # interfaces
    pair("outputs exchanged", TWO_OUT, "p = MatMul(x, W) q = Relu(x)", "q = MatMul(x, W) p = Relu(x)", W=W),
    pair("order of outputs", TWO_OUT, "p = MatMul(x, W) q = Relu(x)", W=W, edit=outputs_exchanged),
         pair("order of inputs", TWO_IN, "y = Sub(x, z)", edit=inputs_exchanged),
    pair("inputs exchanged", TWO_IN, "y = Sub(x, z)", "y = Sub(z, x)"), pair("one input for another", TWO_IN,
         "y = Add(x, z)", "y = Add(x, x)"),
    pair("input that is not read", TWO_IN, "a = Mul(z, o) y = Add(x, a)", "y = Identity(x)", o=np.float32(1e-3)),
    pair("input of another name", SAME, "y = Relu(x)", "y = Relu(z)", student_interface="(float[N, 8] z) => (float[N, "
         "8] y)"),
    pair("output of another name", SAME, "y = Relu(x)", "z = Relu(x)", student_interface="(float[N, 8] x) => "
         "(float[N, 8] z)"),
    pair("one output more", SAME, "y = Relu(x)", "y = Relu(x) z = Neg(x)", student_interface="(float[N, 8] x) => "
         "(float[N, 8] y, float[N, 8] z)"),
    pair("one input more", SAME, "y = Relu(x)", "y = Relu(x)", student_interface="(float[N, 8] x, float[N, 8] z) => "
         "(float[N, 8] y)"),
    pair("one input less", TWO_IN, "y = Relu(x)", "y = Relu(x)", student_interface=SAME),
    pair("default of an input", ROWS, NET, W=W, V=V, changed={"W": but(W, (7, 7), 0)}, both=overridable,
         feeds={"x": normal(3, 8)}),
    pair("output that is an input", TWO_IN, "y = Identity(x)", "y = Identity(z)"), pair("output that is a constant",
         "(float[N, 8] x) => (float[8, 8] W)", "y = Relu(x)", W=W, changed={"W": but(W, (7, 7), 0)}),
    pair("fixed size of an input", SAME, "y = Relu(x)", student_interface="(float[3, 8] x) => (float[N, 8] y)"),
    pair("rank of an output", "(float[N, 8] x) => (float[A, B] y)", "y = Relu(x)", "r = Relu(x) y = Unsqueeze(r, ax)",
         student_interface="(float[N, 8] x) => (float[A, B, C] y)", ax=np.array([0])),
    # domains and functions
    function("body of a function", "F (a) => (b) { b = Relu(a) }", "F (a) => (b) { b = Abs(a) }"),
    function("inputs of a function", "F (a, c) => (b) { b = Sub(a, c) }", "F (a, c) => (b) { b = Sub(c, a) }",
         "y = my.F(x, z)", interface=TWO_IN),
    function("arguments of a function", "F (a, c) => (b) { b = Sub(a, c) }", "F (a, c) => (b) { b = Sub(a, c) }",
         "y = my.F(x, z)", "y = my.F(z, x)", interface=TWO_IN),
    function("outputs of a function", "F (a) => (b, c) { b = Relu(a) c = Abs(a) }",
         "F (a) => (c, b) { b = Relu(a) c = Abs(a) }", "p, q = my.F(x)", interface=TWO_OUT),
    function("function's attribute", "F <k> (a) => (b) { b = LeakyRelu<alpha: float = @k>(a) }",
         "F <k> (a) => (b) { b = LeakyRelu<alpha: float = @k>(a) }", "y = my.F<k = 0.1>(x)", "y = my.F<k = 0.2>(x)"),
    function("function's default", "F <k: float = 0.1> (a) => (b) { b = LeakyRelu<alpha: float = @k>(a) }",
         "F <k: float = 0.2> (a) => (b) { b = LeakyRelu<alpha: float = @k>(a) }"),
    function("function's default and another value", "F <k: float = 0.1> (a) => (b) { b = LeakyRelu<alpha: float = "
         "@k>(a) }", "F <k: float = 0.1> (a) => (b) { b = LeakyRelu<alpha: float = @k>(a) }",
         two="y = my.F<k = 0.2>(x)"),
    function("function's axis", "F <k> (a) => (b) { b = Softmax<axis: int = @k>(a) }",
         "F <k> (a) => (b) { b = Softmax<axis: int = @k>(a) }", "y = my.F<k = 0>(x)", "y = my.F<k = 1>(x)"),
    function("function's constant", "F (a) => (b) { c = Constant<value_float = 1.0>() b = Mul(a, c) }",
         "F (a) => (b) { c = Constant<value_float = 2.0>() b = Mul(a, c) }"),
    function("function's constant of an attribute", "F <k> (a) => (b) { c = Constant<value_float: float = @k>() b = "
         "Mul(a, c) }", "F <k> (a) => (b) { c = Constant<value_float: float = @k>() b = Mul(a, c) }",
             "y = my.F<k = 1.0>(x)", "y = my.F<k = 2.0>(x)"),
    function("function within a function", 'F (a) => (b) { b = Relu(a) } <domain: "my", opset_import: ["": 18, "my": '
         '1]> G (a) => (b) { b = my.F(a) }',
             'F (a) => (b) { b = Abs(a) } <domain: "my", opset_import: ["": 18, "my": 1]> G (a) => (b) { b = my.F(a) }',
             "y = my.G(x)"),
    pair("function of an operator of a known domain", SAME, "y = com.microsoft.Gelu(x)", imports={"com.microsoft": 1},
         specified=True, student_functions='<domain: "com.microsoft", opset_import: ["": 18]> Gelu (a) => (b) { b = '
         'Neg(a) }'),
    pair("function of a fused operator", SAME, "y = com.microsoft.FusedMatMul(x, W)", imports={"com.microsoft": 1}, W=W,
         specified=True, student_functions='<domain: "com.microsoft", opset_import: ["": 18]> FusedMatMul (a, w) => '
         '(b) { c = MatMul(a, w) b = Neg(c) }'),
    pair("function of a fused attention", "(float[N, 6, 8] x) => (float[N, 6, 8] y)",
         "y = com.microsoft.MultiHeadAttention<num_heads=2>(x, x, x)", imports={"com.microsoft": 1},
         specified=True, student_functions='<domain: "com.microsoft", opset_import: ["": 18]> MultiHeadAttention '
         '<num_heads> (a, b, c) => (d) { d = Neg(a) }'),
    pair("function of an operator of ONNX", SAME, "y = Relu(x)", specified=True,
         student_functions='<domain: "", opset_import: ["": 18]> Relu (a) => (b) { b = Neg(a) }'),
    pair("function of a norm of ONNX", SAME, "y = LayerNormalization(x, g)", g=normal(8), specified=True,
         student_functions='<domain: "", opset_import: ["": 18]> LayerNormalization (a, s) => (b) { b = Neg(a) }'),
    pair("function that is called like an operator of ONNX", SAME, "y = Sigmoid(x)", "y = Relu(x)",
         student_functions='<domain: "", opset_import: ["": 18]> Relu (a) => (b) { b = Sigmoid(a) }'),
    pair("function that is called like a fused operator", SAME, "y = Sigmoid(x)", "y = com.microsoft.Gelu(x)",
         student_functions='<domain: "com.microsoft", opset_import: ["": 18]> Gelu (a) => (b) { b = Sigmoid(a) }',
         imports={"com.microsoft": 1}),
    pair("function with older operators than the model", "(float[N, 4, 8] x) => (float[N, 4, 8] y)",
         "r = Reshape(x, k) q = Softmax<axis=1>(r) s = Shape(x) y = Reshape(q, s)", "y = my.F(x)",
         student_functions='<domain: "my", opset_import: ["": 12]> F (a) => (b) { b = Softmax<axis=1>(a) }',
         imports=MY, k=np.array([0, -1])),
    pair("version of a function's operators", "(float[N, 6, 8] x) => (float[N, 6, 8] y)", "y = my.F(x)",
         functions='<domain: "my", opset_import: ["": 12]> F (a) => (b) { b = Softmax(a) }',
         specified=True, student_functions='<domain: "my", opset_import: ["": 13]> F (a) => (b) { b = Softmax(a) }',
         imports=MY),
    function("function of another domain", 'F (a) => (b) { b = Relu(a) } <domain: "their", opset_import: ["": 18]> F '
         '(a) => (b) { b = Abs(a) }',
             'F (a) => (b) { b = Relu(a) } <domain: "their", opset_import: ["": 18]> F (a) => (b) { b = Abs(a) }',
             two="y = their.F(x)", imports={"my": 1, "their": 1}),
    function("overload of a function", "F (a) => (b) { b = Relu(a) }", "F (a) => (b) { b = Relu(a) }",
         edit=with_overload("second")),
    function("name in a function and outside", "F (x) => (y) { a = Relu(x) y = Neg(a) }",
         "F (x) => (y) { a = Relu(x) y = Neg(a) }", "a = Abs(x) b = my.F(x) y = Add(a, b)",
         "a = Abs(x) b = my.F(a) y = Add(a, b)"),
    function("optional argument of a function", "F (a, lo, hi) => (b) { b = Clip(a, lo, hi) }",
         "F (a, lo, hi) => (b) { b = Clip(a, lo, hi) }", "y = my.F(x, h)", "y = my.F(x, , h)", h=np.float32(0.5)),
    # branches
    branches("branch that is taken", ("p = MatMul(x, W)", "q = Relu(x)"), ("p = MatMul(x, U)", "q = Relu(x)"), W=W,
         U=but(W, (7, 7), 0)),
    branches("branch that is not taken", ("p = Relu(x)", "q = MatMul(x, W)"), ("p = Relu(x)", "q = MatMul(x, U)"), W=W,
         U=but(W, (7, 7), 0)),
    branches("branches exchanged", ("p = Relu(x)", "q = Abs(x)"), ("p = Abs(x)", "q = Relu(x)")),
    branches("branch by a sum", ("p = Relu(x)", "q = Abs(x)"), ("p = Relu(x)", "q = Neg(x)"), SAME,
         "s = ReduceSum<keepdims=0>(x) c = Greater(s, k)", k=np.float32(1e3), feeds={"x": np.full((2, 8), 1, "f4")}),
    branches("branch by a sum, never taken", ("p = Relu(x)", "q = Abs(x)"), ("p = Neg(x)", "q = Abs(x)"), SAME,
         "s = ReduceSum<keepdims=0>(x) c = Greater(s, k)", k=np.float32(1e3), feeds={"x": np.full((2, 8), 1e3, "f4")}),
    branches("branch by a square below zero", ("p = Relu(x)", "q = Abs(x)"), ("p = Relu(x)", "q = Cos(x)"), SAME,
         "t = Mul(x, x) s = ReduceSum<keepdims=0>(t) c = Less(k, s)", k=np.float32(0), feeds={"x": np.zeros((2, 8),
         "f4")}),
    branches("captured name", ("p = Relu(x)", "q = Abs(x)"), ("x2 = Neg(x) p = Relu(x2)", "q = Abs(x)")),
    branches("branch within a branch", ("p = If(c) <then_branch = t2 () => (float[N, 8] p2) { p2 = Relu(x) }, "
         "else_branch = e2 () => (float[N, 8] q2) { q2 = Abs(x) }>", "q = Identity(x)"), ("p = Abs(x)",
         "q = Identity(x)")),
    pair("condition turned over", DECIDED, "f = Cast<to=1>(c) y = Mul(x, f)",
         "d = Not(c) f = Cast<to=1>(d) y = Mul(x, f)"),
    pair("condition squared", DECIDED, "f = Cast<to=1>(c) g = Sub(f, o) y = Mul(x, g)", "y = Mul(x, z)",
         z=np.float32(0), o=np.float32(1), feeds={"x": normal(2, 8), "c": np.bool_(False)}),
    pair("condition and number", DECIDED, "f = Cast<to=1>(c) y = Mul(x, f)", "y = Identity(x)", feeds={"x": normal(2,
         8), "c": np.bool_(False)}),
    pair("cast condition plus itself", DECIDED, "f = Cast<to=1>(c) y = Mul(x, f)",
         "f = Cast<to=1>(c) g = Add(f, f) y = Mul(x, g)", feeds={"x": normal(2, 8), "c": np.bool_(True)}),
    pair("condition of what is known", SAME, "y = If(k) <then_branch = t () => (float[N, 8] p) { p = Relu(x) }, "
         "else_branch = e () => (float[N, 8] q) { q = Abs(x) }>", k=np.bool_(True), changed={"k": np.bool_(False)}),
    # loops
    loop("trips of a loop", "d = Identity(c) o = Mul(s, half)", edit=one_trip_less), loop("body of a loop",
         "d = Identity(c) o = Mul(s, half)", "d = Identity(c) o = Add(s, half)"),
    loop("loop that ends", "d = Identity(c) o = Mul(s, half)", "d = Not(c) o = Mul(s, half)"),
         loop("number of the trip", "d = Identity(c) f = Cast<to=1>(i) o = Add(s, f)",
         "d = Identity(c) f = Cast<to=1>(i) o = Sub(s, f)"),
    loop("last trip", "d = Identity(c) e = Equal(i, last) f = Cast<to=1>(e) o = Add(s, f)",
         "d = Identity(c) o = Identity(s)", last=np.int64(2)),
    loop("table by the trip", "d = Identity(c) r = Gather(T, i) o = Add(s, r)", T=normal(3, 8),
         changed={"T": but(normal(3, 8), (2, 7), 0)}),
    loop("loop that ends by data", "m = ReduceMax<keepdims=0>(s) d = Less(m, half) o = Add(s, half)",
         "d = Identity(c) o = Add(s, half)", feeds={"x": np.full((2, 8), 0.3, "f4")}),
    loop("loop that does not start", "d = Identity(c) o = Mul(s, half)", changed={"t": np.bool_(False)}),
         loop("captured for carried", "d = Identity(c) o = Mul(s, s)", "d = Identity(c) o = Mul(s, x)"),
    loop("a trip ended by its number", "d = Less(i, once) o = Mul(s, half)", "d = Identity(c) o = Mul(s, half)",
         once=np.int64(1)),
    pair("state and what is scanned", SCAN, SCANNED.format("", f", {SCANS}", "Identity(d)"), SCANNED.format("",
         f", {SCANS}", "Identity(g)"), ax=np.array([1])),
    pair("direction of a scan", SCAN, SCANNED.format("", f", {SCANS}", "Identity(g)"), SCANNED.format("",
         f", {SCANS}, scan_input_directions = [1]", "Identity(g)"), ax=np.array([1])),
    pair("direction of a scan's output", SCAN, SCANNED.format("", f", {SCANS}", "Identity(g)"), SCANNED.format("",
         f", {SCANS}, scan_output_directions = [1]", "Identity(g)"), ax=np.array([1])),
    pair("trips of the length", "(float[N, L, 8] x) => (float[N, L, 8] y)",
         "s = Shape<start=1, end=2>(x) k = Squeeze(s) y = Loop(k, t, x) <body = b (int64 i, bool c, float[N, L, 8] v) "
         "=> (bool d, float[N, L, 8] o) "
         "{ d = Identity(c) o = Mul(v, half) }>", "y = Loop(three, t, x) <body = b (int64 i, bool c, float[N, L, 8] "
         "v) => (bool d, float[N, L, 8] o) { d = Identity(c) o = Mul(v, half) }>",
         t=np.bool_(True), half=np.float32(0.5), three=np.int64(3)),
    pair("trip of a number that no length reaches", "(float[N, L, 8] x) => (float[N, L, 8] y)",
         "s = Shape<start=1, end=2>(x) k = Squeeze(s) y = Loop(k, t, x) <body = b (int64 i, bool c, float[N, L, 8] v) "
         "=> "
         "(bool d, float[N, L, 8] o) { d = Identity(c) e = Equal(i, fifty) f = Cast<to=1>(e) o = Add(v, f) }>",
         "y = Identity(x)", t=np.bool_(True), fifty=np.int64(50), feeds={"x": normal(1, 60, 8)}),
    # sequences and optionals
    pair("element of a sequence", TWO_IN, "s = SequenceConstruct(x, z) y = SequenceAt(s, k)", k=np.int64(0),
         changed={"k": np.int64(1)}),
    pair("last of a sequence", TWO_IN, "s = SequenceConstruct(x, z) y = SequenceAt(s, k)", k=np.int64(-1),
         changed={"k": np.int64(-2)}),
    pair("order of a sequence", "(float[N, 8] x, float[N, 8] z) => (float[A, B] y)",
         "s = SequenceConstruct(x, z) y = ConcatFromSequence<axis=1>(s)", "s = SequenceConstruct(z, x) y = "
         "ConcatFromSequence<axis=1>(s)"),
    pair("new axis of a sequence", "(float[N, 8] x, float[N, 8] z) => (float[A, B, C] y)",
         "s = SequenceConstruct(x, z) y = ConcatFromSequence<axis=0, new_axis=1>(s)",
         "s = SequenceConstruct(x, z) y = ConcatFromSequence<axis=1, new_axis=1>(s)"),
    pair("length of a sequence", TWO_IN, "s = SequenceConstruct(x, z) n = SequenceLength(s) f = Cast<to=1>(n) y = "
         "Mul(x, f)", "s = SequenceConstruct(x, z, x) n = SequenceLength(s) f = Cast<to=1>(n) y = Mul(x, f)"),
    pair("pieces of a sequence", SAME, "s = SplitToSequence<axis=1>(x, k) y0 = SequenceAt(s, i) y = "
         "Concat<axis=1>(y0, y0)", k=np.int64(4), i=np.int64(0), changed={"i": np.int64(1)}),
    # training and chance
    pair("ratio of a dropout in training", SAME, "y = Dropout(x, r, t)", r=np.float32(0), t=np.bool_(True),
         changed={"r": np.float32(0.5)}, feeds={"x": np.ones((30, 8), "f4")}),
    pair("mask of a dropout", "(float[N, 8] x) => (bool[N, 8] y)", "a, y = Dropout(x)", "a, b = Dropout(x) y = Not(b)"),
    pair("random numbers", SAME, "y = Identity(x)", "a = RandomNormalLike(x) y = Add(x, a)"),
         pair("random numbers twice", SAME, "a = RandomNormalLike(x) d = Sub(a, a) y = Add(x, d)",
         "a = RandomNormalLike(x) b = RandomNormalLike(x) d = Sub(a, b) y = Add(x, d)"),
    pair("random numbers of a seed", "(float[3, 8] x) => (float[3, 8] y)", "a = RandomNormal<shape=[3, 8], "
         "seed=1.0>() y = Add(x, a)", "a = RandomNormal<shape=[3, 8], seed=2.0>() y = Add(x, a)"),
    pair("random and uniform numbers", "(float[3, 8] x) => (float[3, 8] y)",
         "a = RandomNormal<shape=[3, 8], seed=1.0>() y = Add(x, a)", "a = RandomUniform<shape=[3, 8], seed=1.0>() y = "
         "Add(x, a)"),
    pair("thrown dice", SAME, "y = Identity(x)", "s = Sigmoid(x) a = Bernoulli(s) y = Add(x, a)"),
         pair("drawn from a distribution", "(float[N, 8] x) => (int32[N, 4] y)",
         "y = Multinomial<sample_size=4, seed=1.0>(x)", "y = Multinomial<sample_size=4, seed=2.0>(x)",
         feeds={"x": np.zeros((9, 8), "f4")}),
    # stored tensors
    pair("sparse constant", SAME, "y = MatMul(x, W)", "w = Mul(W, two) y = MatMul(x, w)", both=sparse(9),
         two=np.float32(2), specified=True),
    pair("declared type of an output", SAME, "y = Relu(x)", edit=other_metadata),
]  # fmt: skip
