"""Inputs: what is given is checked, and what is drawn fits the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper, parser

from onnx_n2n.errors import InputError, OptionError
from onnx_n2n.verification import parse_shape, read_inputs, verify
from onnx_n2n.verification.draw import Drawn, wanted
from onnx_n2n.verification.sessions import CPU, SessionModel, Timed, session
from onnx_n2n.verification.trial import Trial, find_trial
from onnx_n2n.verification.yardstick import grain


def model(inputs: str, outputs: str, body: str, **weights: Any) -> onnx.ModelProto:
    graph = parser.parse_graph(f"g ({inputs}) => ({outputs}) {{ {body} }}")
    for name, value in weights.items():
        array = np.random.default_rng(0).standard_normal(value, np.float32) if isinstance(value, tuple) else value
        graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def trial(proto: onnx.ModelProto, folder: Path | None = None, seed: int = 0, **options: Any) -> Trial:
    source, read = SessionModel(proto.SerializeToString(), folder), ir.from_proto(proto)
    inputs, shapes = options.get("inputs"), options.get("shapes", {})
    return find_trial(Timed(session(source, CPU)), read, inputs, shapes, folder, seed, grain(read))


def shapes(proto: onnx.ModelProto, **options: Any) -> dict[str, tuple[int, ...]]:
    found = trial(proto, **options)
    assert len(found.feeds) > 1
    return {name: array.shape for name, array in found.feeds[0].items()}


def integers(proto: onnx.ModelProto, name: str) -> np.ndarray:
    """Everything that an input is given over many draws."""
    drawn = Drawn(wanted(ir.from_proto(proto), {}), {}, 0)
    return np.concatenate([drawn.feed(turn)[name].reshape(-1) for turn in range(200)])


# Given


@pytest.mark.parametrize(
    ("text", "name", "shape"),
    [
        ("x:1,3,224,224", "x", (1, 3, 224, 224)),
        ("serving_default_input_2:0:1,43844,1", "serving_default_input_2:0", (1, 43844, 1)),
        ("a/b c: 1, 2", "a/b c", (1, 2)),
        ("scalar:", "scalar", ()),
        ("empty:0,2", "empty", (0, 2)),
    ],
)
def test_shapes_are_read_after_the_last_colon(text: str, name: str, shape: tuple[int, ...]) -> None:
    assert parse_shape(text) == (name, shape)


@pytest.mark.parametrize("text", ["", "x", ":1,2", "x:1,,2", "x:1x2", "x:-1", "x:1,2,"])
def test_what_is_no_shape_is_an_option_error(text: str) -> None:
    with pytest.raises(OptionError, match="name:1,3,224,224"):
        parse_shape(text)


def test_arrays_come_from_npz_files(tmp_path: Path) -> None:
    arrays = {"serving:0": np.arange(3), "a/b": np.ones((2, 2), np.float32)}
    np.savez(tmp_path / "data.npz", **arrays)
    read = read_inputs(tmp_path / "data.npz")
    assert {name: array.tolist() for name, array in read.items()} == {k: v.tolist() for k, v in arrays.items()}


def test_files_that_are_no_npz_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    np.save(tmp_path / "single.npy", np.zeros(3))
    for name in ("text.npz", "empty.npz", "objects.npz", "single.npy"):
        with pytest.raises(InputError, match="no npz file of plain arrays"):
            read_inputs(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        read_inputs(tmp_path / "missing.npz")


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ({}, "'x' is not given"),
        ({"x": np.ones((2, 3), np.float32), "z": np.ones(1)}, "no input 'z'"),
        ({"x": np.ones((2, 3))}, "float64, and the model wants float32"),
        ({"x": np.ones((2, 4), np.float32)}, r"given \[2, 4\], wanted \[N, 3\]"),
        ({"x": np.ones(3, np.float32)}, r"given \[3\], wanted \[N, 3\]"),
    ],
    ids=["missing", "unknown", "type", "size", "rank"],
)
def test_a_feed_that_does_not_fit_is_an_input_error(feed: dict[str, np.ndarray], said: str) -> None:
    teacher = model("float[N,3] x", "float[N,3] y", "y = Exp(x)")
    with pytest.raises(InputError, match=said):
        verify(teacher, teacher, inputs=[feed])


def test_one_given_feed_is_varied_and_several_are_taken_as_they_are() -> None:
    teacher = model("float[N,3] x, int64[M] i", "float y, float z", "y = ReduceSum(x)\n z = Gather(t, i)", t=(9, 2))
    del teacher.graph.output[1].type.tensor_type.shape.dim[:]
    feed = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "i": np.array([7, 8, 7])}
    one = trial(teacher, inputs=feed)
    assert one.origin.startswith("given (3 feeds): x float32[2,3], i int64[3]")
    np.testing.assert_array_equal(one.feeds[0]["x"], feed["x"])
    assert any(not np.array_equal(other["x"], feed["x"]) for other in one.feeds[1:])
    assert all(sorted(other["i"]) == [7, 7, 8] for other in one.feeds)
    several = trial(teacher, inputs=[feed] * 4)
    assert len(several.feeds) == 4
    assert all(np.array_equal(other["x"], feed["x"]) for other in several.feeds)


def test_where_shuffled_integers_do_not_run_only_real_values_move() -> None:
    teacher = model("float[6] x, int64[2] s", "float[A,B] y", "r = Reshape(x, s)\n y = Add(r, t)", t=(2, 3))
    found = trial(teacher, inputs={"x": np.arange(6, dtype=np.float32), "s": np.array([2, 3])})
    assert len(found.feeds) == 3
    assert all(feed["s"].tolist() == [2, 3] for feed in found.feeds)


def test_npz_files_do_not_know_bfloat16_and_it_is_read_all_the_same(tmp_path: Path) -> None:
    teacher = model("bfloat16[2] x", "float[2] y", "y = Cast<to=1>(x)")
    np.savez(tmp_path / "data.npz", x=np.array([1, 2], ml_dtypes.bfloat16))
    found = trial(teacher, inputs=read_inputs(tmp_path / "data.npz"))
    assert found.truth[0][0].tolist() == [1, 2]


def test_a_given_feed_that_does_not_run_is_an_input_error() -> None:
    teacher = model("int64[N] i", "float[N,2] y", "y = Gather(t, i)", t=(4, 2))
    with pytest.raises(InputError, match="out of data bounds"):
        trial(teacher, inputs={"i": np.array([4])})


def test_a_test_data_set_beside_the_model_is_trusted_before_drawing(tmp_path: Path) -> None:
    teacher = model("float[N,3] x, float[3] b", "float[N,3] y", "y = Add(x, b)")
    for number, names in enumerate((("", ""), ("b", "x"))):  # by position, or by name
        place = tmp_path / f"test_data_set_{number}"
        place.mkdir()
        arrays = {"": np.ones((2, 3)), "x": np.ones((5, 3)), "b": np.zeros(3)}
        for position, name in enumerate(names):
            array = arrays[name] if name or not position else arrays["b"]
            onnx.save_tensor(numpy_helper.from_array(array.astype(np.float32), name), place / f"input_{position}.pb")
    (tmp_path / "test_data_set_2").mkdir()
    (tmp_path / "test_data_set_2" / "input_0.pb").write_bytes(b"no tensor")
    found = trial(teacher, tmp_path)
    assert found.origin.startswith("test_data_set_0, test_data_set_1 (")
    assert [feed["x"].shape for feed in found.feeds[:2]] == [(2, 3), (5, 3)]
    assert trial(teacher, tmp_path / "elsewhere").origin.startswith("drawn (3 feeds)")
    onnx.save(teacher, tmp_path / "model.onnx")
    assert verify(tmp_path / "model.onnx", teacher).inputs == found.origin


# Drawn


def test_the_same_seed_draws_the_same_feeds() -> None:
    teacher = model("float[N,3] x", "float[N,3] y", "y = Exp(x)")
    first, again, other = (trial(teacher, seed=seed).feeds for seed in (1, 1, 2))
    assert all(np.array_equal(a["x"], b["x"]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0]["x"], other[0]["x"])


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [
        ("y = Gather(t, i)", 0, 6),
        ("c = Cast<to=6>(i)\n r = Reshape(c, two)\n u = Gather(t, r)\n v = Gather(s, i)\n y = MatMul(u, v)", 0, 3),
        ("c = Cast<to=6>(i)\n y = Gather<axis=1>(s, c)", 0, 4),
        ("o = Add(i, two0)\n y = Gather(t, o)", 0, 4),
        ("o = Sub(i, two0)\n y = Gather(t, o)", 2, 8),
        ("y = OneHot(i, six, on)", 0, 6),
        ("c = Less(i, six)\n w = Where(c, i, two0)\n y = Gather(t, w)", 0, 6),
        ("n = Unsqueeze(i, minus)\n y = GatherND(t, n)", 0, 6),
        ("k = Slice(i, zero, one)\n y = ConstantOfShape(k)", 1, 5),
        ("y = Cast<to=1>(i)", 0, 2),
    ],
    ids=["gather", "smallest", "axis", "offset", "back", "onehot", "where", "gathernd", "size", "free"],
)
def test_indices_stay_within_the_tables_that_they_index(body: str, low: int, high: int) -> None:
    constants = {"two": [2, 1], "two0": 2, "six": 6, "minus": [-1], "zero": [0], "one": [1]}
    weights = {name: np.array(value) for name, value in constants.items()} | {"on": np.array([0, 1], np.float32)}
    teacher = model("int64[2] i", "float[A,B,C] y", body, t=(6, 4), s=(3, 4), **weights)
    values = integers(teacher, "i")
    assert (values.min(), values.max() + 1) == (low, high)


def test_indices_are_followed_into_loops_branches_and_functions() -> None:
    text = """<ir_version: 10, opset_import: ["": 17, "own": 1]>
        g (int64[2] i, int64[2] j, int64[2] k, int64 trips, bool flag) => (float[A,B] y, float[A,B] z)
        <float[5,2] t = {0,1,2,3,4,5,6,7,8,9}> {
            y = own.look_up(t, i)
            yes = Constant<value = bool {1}>()
            n = Identity(trips)
            last = Loop(n, yes, j) <body = b (int64 turn, bool c, int64[2] l) => (bool c2, int64[2] l2) {
                c2 = Identity(c)
                e = Gather(t, l)
                l2 = Identity(l)
            }>
            z = If(flag) <then_branch = a () => (float[A,B] w) { w = Gather(t, last) },
                          else_branch = o () => (float[A,B] v) { v = Gather(t, k) }>
        }
        <domain: "own", opset_import: ["": 17]> look_up (table, where) => (out) { out = Gather(table, where) }"""
    proto = parser.parse_model(text)
    assert all(set(integers(proto, name)) == set(range(5)) for name in "ijk")
    assert set(integers(proto, "trips")) == {1, 2, 3, 4}
    assert set(integers(proto, "flag")) == {False, True}
    assert len(trial(proto).feeds) > 1


def test_a_scalar_that_selects_is_what_it_is_compared_with() -> None:
    body = "fast = Equal(rate, known)\n k = Cast<to=1>(fast)\n y = Mul(x, k)"
    teacher = model("float[2] x, int64 rate", "float[2] y", body, known=np.array(16000))
    assert set(integers(teacher, "rate")) == {16000}
    assert not verify(teacher, teacher).vacuous


@pytest.mark.parametrize(("name", "kind"), [("attention_mask", "int64"), ("m", "int64"), ("mask", "float")])
def test_masks_are_ones_first_and_hide_an_end_later(name: str, kind: str) -> None:
    body = f"f = Cast<to=1>({name})\n h = Sub(one, f)\n k = Mul(h, large)\n l = Add(x, k)\n y = Softmax(l)"
    body = body if kind == "float" else body.replace("h = Sub(one, f)", f"i = Sub(whole, {name})\n h = Cast<to=1>(i)")
    constants = {"one": np.float32(1), "large": np.float32(-1e4), "whole": np.array(1)}
    teacher = model(f"float[2,9] x, {kind}[2,9] {name}", "float[2,9] y", body, **constants)
    first, *others = trial(teacher, seed=3).feeds
    assert first[name].all()
    assert any(not feed[name].all() for feed in others)
    assert all(feed[name][:, :5].all() and set(feed[name].flat) <= {0, 1} for feed in others)


def test_a_mask_hides_nothing_where_that_makes_an_output_infinite() -> None:
    teacher = model("float[2,9] x, float[2,9] mask", "float[2,9] y", "l = Log(mask)\n y = Add(x, l)")
    feeds = trial(teacher, seed=3).feeds
    assert len(feeds) == 3
    assert all(feed["mask"].all() for feed in feeds)


def test_smaller_integers_are_tried_where_the_range_cannot_be_read() -> None:
    teacher = model("int64[9] i", "float[9,2] y", "m = Mul(i, k)\n y = Gather(t, m)", t=(2, 2), k=np.array(3))
    assert not trial(teacher).feeds[0]["i"].any()


def test_inputs_are_large_and_small() -> None:
    feeds = trial(model("float[9,9] x", "float[9,9] y", "y = Exp(x)")).feeds
    assert feeds[0]["x"].std() > 0.5 > 0.2 > feeds[1]["x"].std()


def test_every_type_of_input_is_drawn() -> None:
    kinds = {"float16": 10, "bfloat16": 16, "double": 11, "uint8": 2, "int8": 3, "uint32": 12, "bool": 9}
    inputs = ", ".join(f"{kind}[2,3] {kind}_" for kind in kinds)
    casts = [f"{kind}__ = Cast<to=1>({kind}_)" for kind in kinds]
    total = f"y = Sum({', '.join(f'{kind}__' for kind in kinds)})\n z = Identity(s)"
    teacher = model(f"{inputs}, string[2] s", "float[2,3] y, string[2] z", "\n".join([*casts, total]))
    feed = Drawn(wanted(ir.from_proto(teacher), {}), {}, 0).feed(0)
    assert {name[:-1]: array.dtype.name for name, array in feed.items() if name != "s"} == {
        kind: {"double": "float64"}.get(kind, kind) for kind in kinds
    }
    del teacher.graph.input[1], teacher.graph.node[1]  # strings and bfloat16 do not go together
    teacher.graph.node[-2].input.remove("bfloat16__")
    assert len(trial(teacher).feeds) > 1


def test_a_symbol_has_one_size_wherever_it_stands() -> None:
    inputs = "float[batch,steps,4] x, float[steps,batch] m, float[batch,past] p, float[batch,total] q"
    body = """
        a = Transpose(m)
        b = Concat<axis=1>(p, a)
        c = Add(b, q)
        r = ReduceMax<axes=[2], keepdims=0>(x)
        d = Mul(a, r)
        y = Concat<axis=1>(c, d)"""
    plain, expression = model(inputs, "float[A,B] y", body), model(inputs, "float[A,B] y", body)
    expression.graph.input[3].type.tensor_type.shape.dim[1].dim_param = "past + steps"
    for proto in (plain, expression):
        found = shapes(proto)
        assert found["m"] == found["x"][1::-1]
        assert found["q"][1] == found["p"][1] + found["m"][0]


@pytest.mark.parametrize("size", [64, 32, 224, 48])
def test_sizes_that_the_graph_insists_on_are_found(size: int) -> None:
    target = np.array([-1, 3, size, size])
    teacher = model("float[N,3,H,W] x", "float[A,B,C,D] y", "r = Reshape(x, s)\n y = Add(x, r)", s=target)
    assert shapes(teacher)["x"] == (1, 3, size, size)


def test_weights_tell_the_channels_of_inputs_that_do_not() -> None:
    body = "n = Transpose<perm=[0,3,1,2]>(x)\n y = Conv(n, w)\n z = MatMul(v, m)"
    teacher = model("float[N,H,W,C] x, float[A,B] v", "float[O,P,Q,R] y, float[S,T] z", body, w=(8, 5, 3, 3), m=(7, 2))
    assert shapes(teacher) == {"x": (1, 64, 64, 5), "v": (1, 7)}


def test_dimensions_without_a_name_are_free_of_each_other() -> None:
    teacher = model("float[N,M] x", "float[N,M] y", "y = Exp(x)")
    for entries in (
        teacher.graph.input[0].type.tensor_type.shape.dim,
        teacher.graph.output[0].type.tensor_type.shape.dim,
    ):
        entries[0].dim_value = -1  # what some exporters write
        entries[1].ClearField("dim_param")
    assert shapes(teacher) == {"x": (1, 16)}


def test_chosen_shapes_bind_their_symbols() -> None:
    teacher = model("float[N,S] x, float[S] b", "float[N,S] y", "y = Add(x, b)")
    assert shapes(teacher, shapes={"x": (2, 11)}) == {"x": (2, 11), "b": (11,)}
    for wrong, said in (({"x": (2,)}, "cannot have the shape"), ({"z": (2,)}, "no input 'z'")):
        with pytest.raises(InputError, match=said):
            trial(teacher, shapes=wrong)


def test_initializers_listed_as_inputs_are_not_fed() -> None:
    teacher = model("float[2,3] x, float[3,4] w", "float[2,4] y", "y = MatMul(x, w)", w=(3, 4))
    assert list(shapes(teacher)) == ["x"]


def test_inputs_that_are_drawn_larger_or_smaller_where_outputs_stand_still() -> None:
    teacher = model(
        "float[2,3] x", "float[2,3] y", "f = Mul(x, k)\n y = Clip(f, k, z)", k=np.float32(-9), z=np.float32(-8)
    )
    assert not verify(teacher, teacher).vacuous
    far = model("int64[4] x", "int64[4] y", "y = Max(x, k)", k=np.array(50))
    assert not verify(far, far).vacuous


def test_an_input_that_is_no_tensor_is_an_input_error() -> None:
    teacher = model("seq(float[2]) x", "float[2] y", "y = SequenceAt(x, k)", k=np.array(0))
    with pytest.raises(InputError, match="Sequence"):
        verify(teacher, teacher)


def test_an_input_of_unknown_rank_asks_for_a_shape() -> None:
    teacher = model("float[2] x", "float[2] y", "y = Relu(x)")
    teacher.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(InputError, match=r"`shapes={'x': \(1, 3, 224, 224\)}`"):
        verify(teacher, teacher)
    assert verify(teacher, teacher, shapes={"x": (2,)}).ok


def test_a_teacher_that_runs_on_nothing_says_what_was_tried() -> None:
    teacher = model("float[N,3] x", "float[5,77] y", "y = Reshape(x, s)", s=np.array([5, 77]))
    with pytest.raises(InputError, match=r"cannot be reshaped.*x float32\[1,3\].*more\). Pass inputs with `inputs="):
        verify(teacher, teacher)
