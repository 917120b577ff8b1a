"""What is trained in an export: every floating-point weight, wherever it is used; all else has a reason, by name."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from helpers.graphs import model
from helpers.needing import needs
from helpers.trainable import anything, constants, drawn, exported, graph, trained, with_nodes
from onnx_n2n import export
from onnx_n2n.errors import ExportError, OptionError
from onnx_n2n.export.build import program_of
from onnx_n2n.export.check import agreement


def whole(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    """Parse a model with functions or bodies, and give it weights."""
    proto = parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto


def looped(carried: bool) -> onnx.ModelProto:
    """A matrix that goes round a Loop, or that its body reads."""
    given = ", float[4,4] w_in" if carried else ""
    name = "w_in" if carried else "w"
    gives = ", float[4,4] w_out" if carried else ""
    body = f"""b (int64 i, bool c, float[N,4] h{given}) => (bool c2, float[N,4] h2{gives})
      {{ c2 = Identity(c) m = MatMul(h, {name}) h2 = Tanh(m) {"w_out = Identity(w_in)" if carried else ""} }}"""
    outputs = "y, w_last" if carried else "y"
    return whole(
        f"""<ir_version: 8, opset_import: ["" : 17]> net (float[N,4] x) => (float[N,4] y)
        {{ {outputs} = Loop <body = {body}> (trip, go, x{", w" if carried else ""}) }}""",
        w=drawn(4, 4), trip=np.array(3), go=np.array(True),
    )  # fmt: skip


def scanned() -> onnx.ModelProto:
    """A matrix that is a state of a Scan, and a start that is learned."""
    return whole(
        """<ir_version: 8, opset_import: ["" : 17]> net (float[T,4] x) => (float[4] y)
        { y, last = Scan <num_scan_inputs = 1, body = b (float[4] h, float[4,4] w_in, float[4] now)
            => (float[4] h2, float[4,4] w_out)
            { m = MatMul(h, w_in) s = Add(m, now) h2 = Tanh(s) w_out = Identity(w_in) }> (start, w, x) }""",
        w=drawn(4, 4), start=drawn(4),
    )  # fmt: skip


def chosen() -> onnx.ModelProto:
    """A matrix that a branch reads."""
    return whole(
        """<ir_version: 8, opset_import: ["" : 17]> net (float[N,4] x) => (float[N,4] y)
        { total = ReduceSum<keepdims = 0>(x) c = Greater(total, zero)
          y = If (c) <then_branch = t () => (float[N,4] a) { a = MatMul(x, w) },
                      else_branch = e () => (float[N,4] b) { f = Exp(v) b = MatMul(x, f) }> }""",
        w=drawn(4, 4), v=drawn(4, 4), zero=np.array(1e9, np.float32),
    )  # fmt: skip


def called() -> onnx.ModelProto:
    """A matrix that a function is given."""
    return whole(
        """<ir_version: 8, opset_import: ["" : 17, "own" : 1]> net (float[N,4] x) => (float[N,4] y)
        { h = own.layer(x, w) y = own.layer(h, v) }
        <domain: "own", opset_import: ["" : 17]> layer (x, m) => (y)
        { e = Softplus(m) t = Transpose(e) p = MatMul(x, t) y = Tanh(p) }""",
        w=drawn(4, 4), v=drawn(4, 4),
    )  # fmt: skip


# Each graph, and its parameters; all of them are reached by gradients.
WEIGHTS: dict[str, tuple[onnx.ModelProto, set[str]]] = {
    "experts picked by a router": (
        model(
            """s = MatMul(x, router) i = ArgMax<axis = 1, keepdims = 0>(s) e = Gather(experts, i)
            u = Unsqueeze(x, one) m = MatMul(u, e) h = Squeeze(m, one)
            p = Softmax(s) q = MatMul(p, mix) y = Add(h, q)""",
            "float[2,4] x", "float[2,5] y",
            router=(4, 3), experts=drawn(3, 4, 5), one=np.array([1]), mix=(3, 5),
        ),
        {"router", "experts", "mix"},
    ),
    "elements picked": (
        model("g = GatherElements<axis = 0>(table, ids) y = Mul(x, g)", "float[2,3] x, int64[2,3] ids", "float[2,3] y",
              table=drawn(4, 3)),
        {"table"},
    ),
    "a slice of positions": (
        model("s = Shape(x) n = Gather(s, one) p = Slice(table, zero, n, one) y = Add(x, p)",
              "float[2,N,4] x", "float[2,N,4] y", table=drawn(1, 9, 4), zero=np.array([0]), one=np.array([1])),
        {"table"},
    ),
    "positions by constant indices": (
        model("g = Gather(table, ids) t = Transpose<perm = [1, 0]>(g) y = Add(x, t)",
              "float[2,4,3] x", "float[2,4,3] y", table=drawn(5, 4), ids=np.array([4, 0, 2])),
        {"table"},
    ),
    "behind Exp and others": (
        model("e = Exp(w) h = MatMul(x, e) a = Softplus(v) t = Transpose(a) m = Mul(t, two) y = MatMul(h, m)",
              "float[2,4] x", "float[2,3] y", w=drawn(4, 5), v=drawn(3, 5), two=np.array(2, np.float32)),
        {"w", "v"},
    ),
    "one number behind Exp": (
        model("h = MatMul(x, w) s = Exp(log_scale) y = Mul(h, s)", "float[2,4] x", "float[2,3] y",
              w=(4, 3), log_scale=np.array(0.3, np.float32)),
        {"w", "log_scale"},
    ),
    "a bias of one number": (
        model("h = MatMul(x, w) y = Add(h, b)", "float[2,4] x", "float[2,1] y", w=(4, 1), b=drawn(1)),
        {"w", "b"},
    ),
    "a token that is joined": (
        model("y = Concat<axis = 1>(token, x)", "float[1,3,4] x", "float[1,4,4] y", token=drawn(1, 1, 4)),
        {"token"},
    ),
    "round a loop": (looped(True), {"w"}),
    "in a loop": (looped(False), {"w"}),
    "a state of a scan": (scanned(), {"w", "start"}),
    "in a branch": (chosen(), {"w", "v"}),
    "given to a function": (called(), {"w", "v"}),
}  # fmt: skip


UNTAKEN = {"in a branch": {"w"}}  # the branch is not taken, so that its gradients are zeros or none


SINES = np.concatenate([np.sin(np.arange(6)[:, None] * [1, 0.3, 0.1, 0.03]),
                        np.cos(np.arange(6)[:, None] * [1, 0.3, 0.1, 0.03])], 1).astype(np.float32)  # fmt: skip


# Each graph has a weight w; the tensor that is no weight, and a word of the reason.
CONSTANTS: dict[str, tuple[onnx.ModelProto, str, str]] = {
    "anchors in a Constant node": (
        with_nodes(graph("h = MatMul(x, w) y = Mul(h, anchors)", w=drawn(8, 8)), anchors=drawn(1, 4, 8)),
        "anchors", "a Constant node",
    ),
    "anchors that were one": (
        graph("h = MatMul(x, w) y = Mul(h, Constant_3_output_0)", w=drawn(8, 8), Constant_3_output_0=drawn(1, 4, 8)),
        "Constant_3_output_0", "a Constant node",
    ),
    "padding": (
        graph("p = ConstantOfShape(n) h = MatMul(x, w) y = Concat<axis = 2>(h, p)",
              w=drawn(8, 4), n=np.array([2, 4, 4])),
        "p", "ConstantOfShape",
    ),
    "sines": (
        graph("p = Slice(t, a, b) h = MatMul(x, w) y = Add(h, p)",
              w=drawn(8, 8), t=SINES, a=np.array([0]), b=np.array([4])),
        "t", "sines",
    ),
    "mask": (
        graph("h = MatMul(x, w) y = Add(h, m)", w=drawn(8, 8), m=np.triu(np.full((4, 8), -1e9, np.float32))),
        "m", "mask",
    ),
    "epsilon": (
        graph("h = MatMul(x, w) s = Mul(h, h) e = Add(s, eps) y = Sqrt(e)", w=drawn(8, 8), eps=np.float32(1e-5)),
        "eps", "one number",
    ),
    "a threshold": (
        graph("h = MatMul(x, w) c = Greater(h, t) f = Cast<to = 1>(c) y = Mul(h, f)", w=drawn(8, 8), t=drawn(8)),
        "t", "no gradient",
    ),
    "a state of zeros": (
        graph("h = MatMul(x, w) y, q = GRU<hidden_size = 8>(h, g, r, , , start) ".replace("y, q", "z, q") +
              "y = Squeeze(z, one)", w=drawn(8, 8), g=drawn(1, 24, 8), r=drawn(1, 24, 8),
              start=np.zeros((1, 4, 8), np.float32), one=np.array([1])),
        "start", "one number throughout",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_are_parameters(case: str) -> None:
    proto, expected = WEIGHTS[case]
    program = program_of(proto, anything)
    assert trained(program) == expected
    assert expected <= {account.name for account in program.accounts}


@pytest.mark.parametrize("case", CONSTANTS)
def test_what_is_no_weight_is_a_constant_with_a_reason(case: str) -> None:
    proto, name, word = CONSTANTS[case]
    program = program_of(proto, anything)
    assert "w" in trained(program)
    assert name not in program.tensors
    assert word in constants(program)[name]


@pytest.mark.parametrize("case", [*WEIGHTS, *CONSTANTS])
def test_no_tensor_is_unaccounted_for(case: str) -> None:
    proto = (WEIGHTS | CONSTANTS)[case][0]
    unread = numpy_helper.from_array(drawn(3), "unread")
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    proto.graph.initializer.append(unread)
    accounts = program_of(proto, anything).accounts
    names = [account.name for account in accounts]
    stored = {each.name for each in proto.graph.initializer if each.data_type == onnx.TensorProto.FLOAT}
    stored |= {node.output[0] for node in proto.graph.node if node.op_type == "Constant"}
    assert stored <= set(names)
    assert len(names) == len(set(names))
    assert all(account.because and (account.kind == "constant") == (not account.tensors) for account in accounts)


@pytest.mark.parametrize("case", WEIGHTS)
def test_gradients_reach_every_parameter_in_pytorch(case: str) -> None:
    torch = needs("torch")
    from onnx_n2n.export.torch import runner

    proto, expected = WEIGHTS[case]
    module = export.to_torch(proto)
    assert agreement(proto, runner(module)).ok
    parameters = dict(module.named_parameters())
    assert set(parameters) == expected
    before = {name: p.detach().clone() for name, p in parameters.items()}
    module(*inputs_of(proto, torch)).square().sum().backward()
    optimizer = torch.optim.SGD(parameters.values(), 1e-2)
    optimizer.step()
    for name, parameter in parameters.items():
        if name not in UNTAKEN.get(case, ()):
            assert parameter.grad is not None
            assert not torch.equal(parameter, before[name])


@pytest.mark.parametrize("case", WEIGHTS)
def test_gradients_reach_every_parameter_in_jax(case: str) -> None:
    jax = needs("jax")
    proto, expected = WEIGHTS[case]
    apply, params, state = export.to_jax(proto)
    assert set(params) == expected
    assert not state
    inputs = [np.asarray(x) for x in inputs_of(proto, None)]
    output = proto.graph.output[0].name
    found = jax.grad(lambda tree: (apply(tree, state, inputs)[0][output] ** 2).sum())(params)
    for name, gradient in found.items():
        assert name in UNTAKEN.get(case, ()) or np.any(np.asarray(gradient) != 0)


def inputs_of(proto: onnx.ModelProto, torch: Any) -> list[Any]:
    """Draw what a graph takes; free lengths are 2."""
    rng, found = np.random.default_rng(1), []
    for value in proto.graph.input:
        shape = [dim.dim_value or 2 for dim in value.type.tensor_type.shape.dim]
        whole = value.type.tensor_type.elem_type == onnx.TensorProto.INT64
        array = rng.integers(0, 3, shape) if whole else rng.standard_normal(shape).astype(np.float32)
        found.append(array if torch is None else torch.from_numpy(array))
    return found


def test_keras_has_the_same_parameters() -> None:
    needs("keras")
    for case in ("experts picked by a router", "behind Exp and others"):
        proto, expected = WEIGHTS[case]
        assert {variable.name for variable in export.to_keras(proto).trainable_variables} == expected


def test_parameters_that_the_exporter_computed_with_are_found() -> None:
    torch = needs("torch")

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router = torch.nn.Linear(6, 3)
            self.experts = torch.nn.Parameter(torch.randn(3, 6, 5))
            self.table = torch.nn.Parameter(torch.randn(7, 5))
            self.register_buffer("ids", torch.tensor([3, 1]))
            self.register_buffer("shift", torch.randn(2, 5))

        def forward(self, x: Any) -> Any:
            picked = self.experts[self.router(x).argmax(-1)]
            return torch.einsum("bd,bdf->bf", x, picked) + self.table[self.ids] + self.shift

    program = program_of(exported(Net().eval(), torch.randn(2, 6)), anything)
    arrays = [tensor.array.shape for tensor in program.tensors.values() if tensor.trained]
    assert (3, 6, 5) in arrays
    assert (2, 5) in arrays
    assert not program.tensors["shift"].trained  # a buffer
    assert any("'table'" in account.because and account.guess for account in program.accounts)


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"])
def test_numbers_of_eight_bits_convert(kind: str) -> None:
    torch, types = needs("torch"), needs("ml_dtypes")
    q = drawn(4, 3).astype(getattr(types, kind))
    proto = model("d = DequantizeLinear(q, s) y = MatMul(x, d)", "float[2,4] x", "float[2,3] y", opset=21,
                  q=q, s=np.array(0.1, np.float32))  # fmt: skip
    x = drawn(2, 4)
    right = x @ (q.astype(np.float32) * np.float32(0.1))
    assert np.allclose(export.to_torch(proto)(torch.from_numpy(x)).numpy(), right, atol=1e-6)
    needs("jax")
    apply, params, state = export.to_jax(proto)
    assert np.allclose(apply(params, state, [x])[0]["y"], right, atol=1e-6)
    with pytest.raises(OptionError, match="FLOAT8"):
        export.to_torch(proto, train=["q"])


def test_an_operator_that_is_missing_is_still_named() -> None:
    with pytest.raises(ExportError, match="counterpart"):
        program_of(model("y = Det(x)", "float[3,3] x", "float y"), lambda operator, _: operator != "Det")
