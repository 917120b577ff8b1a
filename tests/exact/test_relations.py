"""Laws of relations: what a tensor of the student is in the teacher, axis by axis, and never more than that."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser

import onnx_n2n
from onnx_n2n.errors import OptionError
from onnx_n2n.exact import Verdict, check
from onnx_n2n.exact.places import FREE, ZERO, fit

SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=30)
NOTHING = np.array([7, 9], np.uint64)


def prints(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return fingerprints of numbers that are all different: uint64[2, *shape]."""
    return np.random.default_rng(seed).integers(1 << 20, 1 << 63, (2, *shape), np.uint64)


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(NOTHING.reshape(2, *[1] * len(shape)), (2, *shape))


# Places


@given(SEEDS, st.lists(st.integers(1, 5), min_size=1, max_size=4))
@few
def test_an_array_is_itself_on_every_axis(seed: int, shape: list[int]) -> None:
    old = prints(tuple(shape), seed)
    found = fit(old, old.copy(), NOTHING)
    assert found is not None
    assert found.whole
    assert found.axes == (None,) * len(shape)


@given(SEEDS, st.data())
@few
def test_places_that_are_taken_on_every_axis_are_found(seed: int, data: st.DataObject) -> None:
    """Any mixture of permutations, copies and cuts on all axes at once, with fresh places and zeros put between."""
    old = new = prints((3, 4, 5), seed)
    taken = [data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=7)) for n in old.shape[1:]]
    for axis, places in enumerate(taken):
        new = new.take(places, axis + 1)
    wanted = [list(each) for each in taken]
    for axis in range(3):
        what = data.draw(st.sampled_from([FREE, ZERO, None]))
        if what is not None:
            shape = tuple(1 if each == axis else n for each, n in enumerate(new.shape[1:]))
            new = np.concatenate([new, prints(shape, seed + 1 + axis) if what == FREE else zeros(shape)], axis + 1)
            wanted[axis].append(what)
    found = fit(old, new, NOTHING)
    assert found is not None
    for axis, places in enumerate(wanted):
        index = found.axes[axis]
        said = list(range(old.shape[axis + 1])) if index is None else index.tolist()
        assert said == places
    assert found.whole is all(set(range(n)) <= set(each) for n, each in zip(old.shape[1:], wanted, strict=True))


@given(SEEDS, st.integers(0, 2), st.integers(0, 2), st.integers(0, 4))
@few
def test_one_number_that_is_wrong_is_never_claimed(seed: int, a: int, b: int, c: int) -> None:
    old = prints((3, 4, 5), seed)
    new = old.copy()
    new[:, a, b, c] = prints((1,), seed + 1)[:, 0]
    found = fit(old, new, NOTHING)
    if found is not None:
        assert not found.whole
        live = [np.arange(n) if each is None else np.flatnonzero(each >= 0)
                for n, each in zip(new.shape[1:], found.axes, strict=True)]  # fmt: skip
        theirs = [at if each is None else each[at] for at, each in zip(live, found.axes, strict=True)]
        lanes = np.arange(2)
        assert (new[np.ix_(lanes, *live)] == old[np.ix_(lanes, *theirs)]).all()


@given(SEEDS)
@few
def test_numbers_of_elsewhere_are_no_places(seed: int) -> None:
    assert fit(prints((3, 4), seed), prints((3, 4), seed + 1), NOTHING) is None
    old = prints((3, 4), seed)
    assert fit(old, old.reshape(2, 12), NOTHING) is None
    assert fit(old[:, 0, 0], old[:, 0, 1], NOTHING) is None


def test_places_that_are_alike_in_the_teacher_stay_where_they_are() -> None:
    """A row that is repeated along the batch is itself there, not the first one."""
    old = np.repeat(prints((1, 4), 0), 3, 1)
    order = [2, 0, 1, 3]
    found = fit(old, old[:, :, order], NOTHING)
    assert found is not None
    assert found.whole
    assert found.axes[0] is None
    assert found.axes[1] is not None
    assert found.axes[1].tolist() == order


# Models


def made(head: str, body: str, **constants: np.ndarray) -> onnx.ModelProto:
    model = parser.parse_model(f'<ir_version: 9, opset_import: ["": 18]> g {head} {{ {body} }}')
    arrays = ((name, np.asarray(each)) for name, each in constants.items())
    model.graph.initializer.extend(
        numpy_helper.from_array(each if each.dtype.kind == "i" else each.astype("f4"), name) for name, each in arrays
    )
    return model


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def convolutions(**changed: np.ndarray) -> onnx.ModelProto:
    weights = {"k": normal(0, 4, 3, 3, 3), "b": normal(1, 4), "l": normal(2, 5, 4, 1, 1), "w": normal(3, 5, 6)}
    return made(
        "(float[N, 3, 6, 6] x) => (float[N, 6] y)",
        "a = Conv(x, k, b) c = Relu(a) d = Conv(c, l) e = Relu(d) p = GlobalAveragePool(e) f = Flatten(p) "
        "y = MatMul(f, w)",
        **weights | changed,
    )


def transformer(**changed: np.ndarray) -> onnx.ModelProto:
    weights = {each: normal(place, 8, 8) for place, each in enumerate("qkvo")}
    weights |= {"u": normal(5, 8, 12), "w": normal(6, 12, 8), "g": normal(7, 8)}
    shapes = {"s": np.array([0, -1, 2, 4]), "t": np.array([0, -1, 8]), "r": np.float32(0.5)}
    return made(
        "(float[N, L, 8] x) => (float[N, L, 8] y)",
        "n = LayerNormalization(x, g) q0 = MatMul(n, q) k0 = MatMul(n, k) v0 = MatMul(n, v) q1 = Reshape(q0, s) "
        "k1 = Reshape(k0, s) v1 = Reshape(v0, s) q2 = Transpose<perm=[0, 2, 1, 3]>(q1) "
        "k2 = Transpose<perm=[0, 2, 3, 1]>(k1) v2 = Transpose<perm=[0, 2, 1, 3]>(v1) a = MatMul(q2, k2) b = Mul(a, r) "
        "c = Softmax(b) d = MatMul(c, v2) e = Transpose<perm=[0, 2, 1, 3]>(d) f = Reshape(e, t) o0 = MatMul(f, o) "
        "h = Add(x, o0) i = MatMul(h, u) j = Gelu(i) m = MatMul(j, w) y = Add(h, m)".replace("Gelu", "Tanh"),
        **weights | shapes | changed,
    )


def traced(teacher: onnx.ModelProto, student: onnx.ModelProto) -> tuple[Verdict, dict[str, object]]:
    verdict = check(teacher, student, trace=True)
    assert verdict.relations is not None
    return verdict, {each.tensor: each for each in verdict.relations}


@pytest.mark.parametrize("model", [convolutions(), transformer()], ids=["convolutions", "transformer"])
def test_a_model_is_itself_everywhere(model: onnx.ModelProto) -> None:
    verdict, found = traced(model, model)
    assert verdict
    assert list(found) == [name for node in model.graph.node for name in node.output]
    for name, each in found.items():
        assert (each.teacher, each.whole) == (name, True)
        assert set(each.axes) == {None}


def test_nothing_is_traced_unless_it_is_asked_for() -> None:
    verdict = check(convolutions(), convolutions())
    assert verdict.relations is None
    assert verdict.to_json()["relations"] == []


@given(SEEDS)
@settings(max_examples=3)
def test_channels_in_another_order_with_copies_zeros_and_fresh_ones(seed: int) -> None:
    generator = np.random.default_rng(seed)
    k, b, after = normal(0, 4, 3, 3, 3), normal(1, 4), normal(2, 5, 4, 1, 1)
    places = np.append(generator.permutation(4), generator.integers(0, 4))
    fresh = generator.normal(size=(2, 3, 3, 3))
    shares = np.where(np.arange(5) == 4, 0, 1)
    student = convolutions(
        k=np.concatenate([k[places], fresh, np.zeros((1, 3, 3, 3))]),
        b=np.concatenate([b[places], generator.normal(size=2), [0]]),
        l=np.concatenate([after[:, places] * shares[:, None, None], np.zeros((5, 3, 1, 1))], 1),
    )
    verdict, found = traced(convolutions(), student)
    assert verdict
    for name in ("a", "c"):
        assert found[name].whole
        assert found[name].axes[0] is found[name].axes[2] is found[name].axes[3] is None
        assert found[name].axes[1].tolist() == [*places, FREE, FREE, ZERO]
    assert set(found["y"].axes) == {None}
    assert "4 of the teacher's, 1 copies, 2 free, 1 zero" in str(found["a"])


def test_heads_in_another_order_and_a_fresh_one() -> None:
    order = np.r_[4:8, 0:4]
    wider = {each: np.concatenate([normal(n, 8, 8)[:, order], normal(9 + n, 8, 4)], 1) for n, each in enumerate("qkv")}
    rest = np.concatenate([normal(3, 8, 8)[order], np.zeros((4, 8))])
    shapes = {"s": np.array([0, -1, 3, 4]), "t": np.array([0, -1, 12])}
    verdict, found = traced(transformer(), transformer(**wider, **shapes, o=rest))
    assert verdict
    assert found["q0"].axes[2].tolist() == [*order, *[FREE] * 4]
    assert found["q1"].axes[2].tolist() == [1, 0, FREE]
    assert found["c"].axes[1].tolist() == [1, 0, FREE]
    assert found["f"].axes[2].tolist() == [*order, *[FREE] * 4]
    assert set(found["o0"].axes) == {None}


LAYERS = {
    "convolutions": (convolutions, {"k": "a", "b": "a", "l": "d", "w": "y"}),
    "transformer": (transformer, {"q": "q0", "v": "v0", "o": "o0", "u": "i", "w": "m", "g": "n"}),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("kind", "weight"), [(kind, each) for kind, (_, names) in LAYERS.items() for each in names])
def test_a_weight_that_is_wrong_names_its_node_first(kind: str, weight: str, seed: int) -> None:
    model, nodes = LAYERS[kind]
    right = numpy_helper.to_array(next(each for each in model().graph.initializer if each.name == weight)).copy()
    right.flat[np.random.default_rng(seed).integers(right.size)] += 1
    verdict, found = traced(model(), model(**{weight: right}))
    assert verdict.state == "different"
    assert verdict.node == nodes[weight]
    assert not found[nodes[weight]].whole
    assert next(name for name, each in found.items() if not each.whole) == nodes[weight]


def test_another_arrangement_is_said_to_be_one() -> None:
    head = "(float[N, 8] x) => (float[N, 8] y)"
    teacher = made(head, "a = Exp(x) y = Tanh(a)")
    student = made(head, "b = Exp(x) c = Reshape(b, s) d = Tanh(c) y = Reshape(d, t)",
                   s=np.array([-1, 2, 4]), t=np.array([-1, 8]))  # fmt: skip
    verdict, found = traced(teacher, student)
    assert verdict
    assert (found["c"].teacher, found["c"].whole, found["c"].axes) == ("a", True, None)
    assert "in another arrangement" in str(found["c"])


def test_what_is_none_of_the_teachers_is_said() -> None:
    head = "(float[N, 8] x) => (float[N, 8] y)"
    teacher, student = made(head, "y = Exp(x)"), made(head, "a = Sinh(x) b = Sub(a, a) c = Exp(x) y = Add(b, c)")
    _, found = traced(teacher, student)
    assert (found["a"].teacher, found["a"].whole) == ("", False)
    assert str(found["a"]) == "a (from Sinh node 'a'): none of the teacher's"
    assert [name for name, each in found.items() if each.teacher == "y"] == ["c", "y"]


def test_the_document_has_a_place_for_each_number_of_an_axis() -> None:
    verdict, _ = traced(convolutions(), convolutions())
    student = convolutions(k=normal(0, 4, 3, 3, 3)[::-1], b=normal(1, 4)[::-1], l=normal(2, 5, 4, 1, 1)[:, ::-1])
    first = traced(convolutions(), student)[0].to_json()["relations"][0]
    assert first == {"tensor": "a", "node": "a", "operator": "Conv", "teacher": "a", "whole": True,
                     "axes": [None, [3, 2, 1, 0], None, None]}  # fmt: skip
    assert [each.tensor for each in verdict.relations or ()] == ["a", "c", "d", "e", "p", "f", "y"]


def test_the_library_traces_where_it_is_asked_to() -> None:
    model = convolutions()
    assert onnx_n2n.verify(model, model, exact=True, trace=True).relations
    assert onnx_n2n.verify(model, model, exact=True).relations is None
    with pytest.raises(OptionError, match="trace"):
        onnx_n2n.verify(model, model, exact=True, trace={"a": (None,)})


def test_a_student_of_the_pass_holds_its_teacher_everywhere() -> None:
    teacher = transformer()
    result = onnx_n2n.widen(teacher, 1.5, verify=False)
    student = onnx_n2n.save(result.model) if False else result.model
    verdict = onnx_n2n.verify(teacher, student, exact=True, trace=True, record=result.growth)
    assert verdict
    named = {name for node in teacher.graph.node for name in node.output}
    assert verdict.relations
    assert all(each.whole for each in verdict.relations if each.tensor in named)
