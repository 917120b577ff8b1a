"""What is trained in an export: every floating-point weight, wherever it is used; all else has a reason, by name."""

import io
import json
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper, parser

from helpers.graphs import STABLE, model
from helpers.needing import needs
from onnx_n2n import export
from onnx_n2n.cli import main
from onnx_n2n.errors import ExportError, OptionError
from onnx_n2n.export.build import program_of
from onnx_n2n.export.check import agreement
from onnx_n2n.export.formulas import formula_of, is_written
from onnx_n2n.export.program import Program

RNG = np.random.default_rng(0)


def anything(*_: Any) -> bool:
    """Know every operator."""
    return True


def drawn(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32) / 2


def trained(program: Program) -> set[str]:
    return {name for name, tensor in program.tensors.items() if tensor.trained}


def constants(program: Program) -> dict[str, str]:
    return {account.name: account.because for account in program.accounts if account.kind == "constant"}


def guessed(program: Program) -> dict[str, str]:
    return {account.name: account.kind for account in program.accounts if account.guess}


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


def nodes(**arrays: np.ndarray) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name))
        for name, array in arrays.items()
    ]


def with_nodes(proto: onnx.ModelProto, **arrays: np.ndarray) -> onnx.ModelProto:
    """Put Constant nodes in front of a graph."""
    rest = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes(**arrays), *rest])
    return proto


def graph(body: str, **weights: Any) -> onnx.ModelProto:
    """A graph from float[2,4,8] x to a y of the same shape, whose Constant nodes come later."""
    parsed = parser.parse_graph(f"g (float[2,4,8] x) => (float[2,4,8] y) {{ {body} }}")
    parsed.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items())
    return helper.make_model(parsed, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


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


def test_a_file_that_holds_its_weights_in_nodes_trains_them_as_guesses() -> None:
    proto = with_nodes(graph("h = MatMul(x, w) y = Add(h, b)"), w=drawn(8, 8), b=drawn(8))
    program = program_of(proto, anything)
    assert trained(program) == {"w", "b"}
    assert guessed(program) == {"w": "trained", "b": "trained"}


def test_a_constant_node_where_weights_stand_is_told_as_a_guess() -> None:
    proto = with_nodes(graph("h = MatMul(x, w) y = MatMul(h, v)", w=drawn(8, 8)), v=drawn(8, 8))
    program = program_of(proto, anything)
    assert trained(program) == {"w"}
    assert guessed(program) == {"v": "constant"}
    assert trained(program_of(proto, anything, train=["v"])) == {"w", "v"}


def test_globs_decide_and_train_wins() -> None:
    proto = graph("h = MatMul(x, w.a) k = MatMul(h, w.b) y = Add(k, eps)".replace("w.a", "wa").replace("w.b", "wb"),
                  wa=drawn(8, 8), wb=drawn(8, 8), eps=np.float32(1e-5))  # fmt: skip
    program = program_of(proto, anything, freeze=["*"], train=["wb", "eps"])
    assert trained(program) == {"wb", "eps"}
    assert set(program.tensors) == {"wa", "wb", "eps"}  # what is frozen is kept, under its name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"freeze": ["wx"]}, "perhaps you mean 'wa'"),
        ({"train": ["nothing.*"]}, "matches no tensor"),
        ({"train": ["n"]}, "INT64"),
        ({"train": ["bn.mean"]}, "measured in training"),
        ({"freeze": "wa"}, "lists of patterns"),
    ],
)
def test_globs_that_cannot_be_followed_are_refused(options: dict[str, Any], said: str) -> None:
    body = "h = MatMul(x, wa) r = Reshape(h, n) y = BatchNormalization(r, s, b, m, v)"
    proto = graph(body, wa=drawn(8, 8), n=np.array([2, 4, 8]), s=drawn(4), b=drawn(4), m=drawn(4), v=np.ones(4, "f"))
    for tensor in proto.graph.initializer:
        tensor.name = {"m": "bn.mean"}.get(tensor.name, tensor.name)
    proto.graph.node[2].input[3] = "bn.mean"
    with pytest.raises(OptionError, match="(?i)" + said):
        program_of(proto, anything, **options)


def test_a_tensor_that_nothing_reads_is_frozen_already_and_never_trained() -> None:
    proto = graph("h = MatMul(x, wa) y = Relu(h)", wa=drawn(8, 8), idle=drawn(3))
    program = program_of(proto, anything, freeze=["idle", "wa"])
    assert constants(program) == {"idle": "nothing reads it, so that it is left out"}
    assert not trained(program)
    with pytest.raises(OptionError, match="cannot be trained: nothing reads 'idle'"):
        program_of(proto, anything, train=["idle"])


def test_single_numbers_that_somebody_wrote_are_no_guesses() -> None:
    proto = graph("a = Add(x, eps) s = Mul(a, third) g = Mul(s, gain) y = Mul(g, start)", eps=np.float32(1e-5),
                  third=np.float32(2**-0.5), gain=np.float32(0.8731264), start=np.float32(1))  # fmt: skip
    program = program_of(proto, anything)
    assert constants(program).keys() == {"eps", "third", "gain", "start"}  # all are told
    assert guessed(program) == {"gain": "constant", "start": "constant"}


@pytest.mark.parametrize("number", [1e-12, 0.5, -3.0, 20.0, 2**0.5, 64**-0.5, 96**-0.5, 1 / 3, 1 / 255, -1e9, np.inf])
def test_written_numbers_are_told_from_learned_ones(number: float) -> None:
    assert is_written(np.float32(number))


@given(st.integers(0, 2**31))
def test_learned_numbers_are_seldom_taken_for_written_ones(seed: int) -> None:
    drawn_numbers = np.random.default_rng(seed).standard_normal(200).astype(np.float32)
    assert sum(map(is_written, drawn_numbers)) <= 10


def test_the_folder_says_what_was_decided_and_opens_as_it_was_written(tmp_path: Any) -> None:
    needs("torch")
    needs("safetensors")
    proto = with_nodes(graph("h = MatMul(x, w) y = Mul(h, anchors)", w=drawn(8, 8)), anchors=drawn(1, 4, 8))
    onnx.save(proto, tmp_path / "m.onnx")
    arguments = ["export", str(tmp_path / "m.onnx"), "--to", "torch", "-o", str(tmp_path / "o")]
    found = CliRunner().invoke(main, [*arguments, "--freeze", "w", "--train", "anch*", "--json"])
    assert found.exit_code == 0, found.output
    said, recorded = json.loads(found.stdout), json.loads((tmp_path / "o" / "export.json").read_text())
    for document in (said, recorded):
        assert document["trained"] == ["anchors"]
        assert document["state"] == [{"name": "w", "because": "--freeze names it"}]
    module = export.load(tmp_path / "o")
    assert [name for name, _ in module.named_parameters()] == ["anchors"]
    assert [name for name, _ in module.named_buffers()] == ["w"]

    plain = CliRunner().invoke(main, [*arguments, "--force"])
    assert plain.exit_code == 0
    assert "a Constant node: 'anchors'" in plain.output
    recorded = json.loads((tmp_path / "o" / "export.json").read_text())
    assert [each["name"] for each in recorded["constant"]] == ["anchors"]
    wrong = CliRunner().invoke(main, [*arguments, "--force", "--train", "anchor"])
    assert wrong.exit_code == 2
    assert "'anchors'" in wrong.output


def test_a_frozen_norm_still_measures(tmp_path: Any) -> None:
    torch = needs("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3)).eval()
    proto = exported(net, torch.randn(4, 2, 3, 3), optimize=False)
    module = export.to_torch(proto, freeze=["1.*"])
    assert {name for name, _ in module.named_parameters()} == {"0.weight", "0.bias"}
    before = dict(module.named_buffers())["1.running_mean"].clone()
    module.train()(torch.randn(4, 2, 3, 3) + 1)
    assert not torch.equal(before, dict(module.named_buffers())["1.running_mean"])


def exported(net: Any, *inputs: Any, optimize: bool = True) -> onnx.ModelProto:
    """Export a network with PyTorch's default exporter."""
    torch, file = needs("torch"), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, inputs, dynamo=True, optimize=optimize, verbose=False).save(file)
    return onnx.ModelProto.FromString(file.getvalue())


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


@STABLE
@given(st.integers(6, 40), st.floats(0.05, 3), st.floats(-2, 2), st.floats(0.1, 5), st.booleans())
def test_formulas_are_seen_and_learned_numbers_are_none(
    n: int, w: float, shift: float, size: float, across: bool
) -> None:
    k = np.arange(n)
    tables = [size * np.sin(w * k + shift), size * k + shift, size * (1 + w / 4) ** -k, 0.5 - 0.5 * np.cos(w * k)]
    noise = np.random.default_rng(n).standard_normal((n, 3))
    for column in tables:
        table = np.stack([column, column[::-1], np.ones(n)], 1).astype(np.float32)
        assert formula_of(table.T if across else table)
        assert not formula_of((table + noise * 1e-2 * np.abs(table).max()).astype(np.float32))
    assert not formula_of(noise.astype(np.float32))
    assert not formula_of(np.ones((n, 3), np.float32))


def test_an_operator_that_is_missing_is_still_named() -> None:
    with pytest.raises(ExportError, match="counterpart"):
        program_of(model("y = Det(x)", "float[3,3] x", "float y"), lambda operator, _: operator != "Det")
