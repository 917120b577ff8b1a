"""Laws of the lengths that are run: different ones, none of them 1, in two orders; and what they have to reach."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser

from onnx_n2n.errors import OptionError
from onnx_n2n.exact import check, sizes, trying

NAMES = st.lists(st.sampled_from(["N", "T", "H", "W", "", 2, 3, 4, 8]), min_size=1, max_size=4)


def values(*shapes: list[str | int]) -> list[onnx.ValueInfoProto]:
    return [
        onnx.helper.make_tensor_value_info(f"x{place}", 1, [each or None for each in shape])
        for place, shape in enumerate(shapes)
    ]


def made(text: str, **constants: np.ndarray) -> onnx.ModelProto:
    model = parser.parse_model(f'<ir_version: 9, opset_import: ["": 18]> g {text}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return model


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_the_first_lengths_are_all_different_and_none_is_one(shapes: list[list[str | int]]) -> None:
    given_ = values(*shapes)
    attempt = next(sizes.attempts(given_))
    free = any(isinstance(each, str) for shape in shapes for each in shape)
    assert len(attempt) == (2 if free else 1)
    for run in attempt:
        lengths: dict[str, int] = {}
        for place, shape in enumerate(shapes):
            assert len(run[f"x{place}"]) == len(shape)
            for axis, (each, length) in enumerate(zip(shape, run[f"x{place}"], strict=True)):
                if isinstance(each, int):
                    assert length == each
                else:
                    assert lengths.setdefault(each or f"x{place}[{axis}]", length) == length
        assert len(set(lengths.values())) == len(lengths)
        assert 1 not in lengths.values()
        assert not set(lengths.values()) & {each for shape in shapes for each in shape}


@given(NAMES)
@settings(max_examples=20, deadline=None)
def test_smaller_lengths_are_apart_as_well(shape: list[str | int]) -> None:
    """No length is larger than the one that it stands for; those of a set differ, and those of an axis in two sets."""
    inputs = values(shape)
    free = [place for place, each in enumerate(shape) if isinstance(each, str)]
    names = {each or place: place for place, each in enumerate(shape) if isinstance(each, str)}
    for attempt in sizes.attempts(inputs):
        for found in sizes.smaller(inputs, None, attempt):
            assert found == sorted(found, key=lambda sets: [each["x0"] for each in sets])
            for sets in found:
                one, two = (each["x0"] for each in sets)
                assert all(1 < one[place] != two[place] > 1 for place in free)
                for each, whole in zip((one, two), attempt, strict=True):
                    assert all(less <= more for less, more in zip(each, whole["x0"], strict=True))
                    assert len({each[place] for place in names.values()}) == len(names)


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_no_free_axis_is_equally_long_in_both_sets(shapes: list[list[str | int]]) -> None:
    """One that is would be taken for a fixed length. Of any two axes but batches, another one is longer each time."""
    attempt, *more = sizes.attempts(values(*shapes))
    for one, two in (each for each in (attempt, *more) if len(each) == 2):
        free: dict[str, tuple[int, int]] = {}
        for place, shape in enumerate(shapes):
            for axis, each in enumerate(shape):
                if not isinstance(each, int):
                    free[each or f"x{place}[{axis}]"] = one[f"x{place}"][axis], two[f"x{place}"][axis]
        assert all(first != second for first, second in free.values())
        if one is attempt[0]:
            _, others = sizes.names(values(*shapes))
            lengths = [free[name] for name in others]
            assert [each for each, _ in lengths] == sorted(each for each, _ in lengths)
            assert [each for _, each in lengths] == sorted((each for _, each in lengths), reverse=True)


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_every_attempt_gives_each_name_one_length(shapes: list[list[str | int]]) -> None:
    for attempt in sizes.attempts(values(*shapes)):
        for run in attempt:
            named: dict[str, set[int]] = {}
            for place, shape in enumerate(shapes):
                for each, length in zip(shape, run[f"x{place}"], strict=True):
                    assert length > 0
                    named.setdefault(str(each), set()).add(length)
            assert all(len(lengths) == 1 for name, lengths in named.items() if name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("past+T", lambda p, t: p + t), ("2*T", lambda p, t: 2 * t), ("T + past + 1", lambda p, t: p + t + 1)],
)
def test_names_that_calculate_are_calculated(name: str, expected: object) -> None:
    for attempt in sizes.attempts(values(["N", "past"], ["N", "T"], ["N", name])):
        for run in attempt:
            assert run["x2"][1] == expected(run["x0"][1], run["x1"][1])  # type: ignore[operator]


@pytest.mark.parametrize("name", ["seq-len", "a/b", "x.1", "unk__12", "?", "-1", "floor(N)", "N]"])
def test_names_that_only_look_so_are_names(name: str) -> None:
    (first, *_), *_ = sizes.attempts(values(["N", name]))
    assert first["x0"][1] > 1


def test_one_axis_may_be_as_long_as_two_others() -> None:
    """The mask of a cache is as long as what is cached and what is new."""
    text = "(float[B,past,4] p, float[B,new,4] x, float[B,total,4] m) => (float[B,total,4] y) {{ {} }}"
    body = "c = Concat<axis = 1>(p, x) y = Add(c, m)"
    verdict = check(made(text.format(body)), made(text.format(body)))
    assert verdict
    assert all(run["m"][1] == run["p"][1] + run["x"][1] for run in verdict.shapes)


def test_axes_that_have_to_be_multiples_are() -> None:
    text = "(float[N,C] x) => (y) { r = Reshape(x, s) y = Relu(r) }"
    model = made(text, s=np.array([-1, 32], "i8"))
    assert check(model, model)


@given(st.lists(NAMES, min_size=1, max_size=3), st.integers(2, 5000))
def test_lengths_that_reach_make_one_axis_so_long(shapes: list[list[str | int]], length: int) -> None:
    given_ = values(*shapes)
    batches, others = sizes.names(given_)
    found = list(sizes.attempts(given_, reaching=length))
    assert len(found) == len(others or batches)
    assert all(any(length in shape for shape in run.values()) for attempt in found for run in attempt)


def test_rows_of_a_table_beyond_the_lengths_that_are_run_count() -> None:
    text = """(float[N,T,4] x) => (float[N,T,4] y) {
        s = Shape(x) o = Constant<value_ints = [1]>() t = Gather(s, o) z = Constant<value_ints = [0]>()
        p = Slice(W, z, t, z) y = Add(x, p) }"""
    table = np.random.default_rng(0).normal(size=(40, 4)).astype("f4")
    wrong = table.copy()
    wrong[39, 2] += 1
    assert check(made(text, W=table), made(text, W=table))
    assert check(made(text, W=table), made(text, W=wrong)).state != "equal"


def test_shapes_that_are_given_are_kept() -> None:
    model = made("(float[N,T] x) => (float[N,T] y) { y = Relu(x) }")
    verdict = check(model, model, shapes={"x": (5, 6)})
    assert verdict.shapes == ({"x": (5, 6)},)
    for wrong in ({"z": (1,)}, {"x": (5,)}, {"x": (5, 0)}):
        with pytest.raises(OptionError):
            check(model, model, shapes=wrong)


def test_an_input_of_any_rank_is_undecided() -> None:
    model = made("(float[N] x) => (float[N] y) { y = Relu(x) }")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert check(model, model).state == "undecided"


def test_a_run_that_is_too_large_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_n2n.exact.watched.LARGEST", 10)
    model = made("(float[N,8] x) => (float[N,8] y) { y = Relu(x) }")
    verdict = check(model, model)
    assert (verdict.state, verdict.node) == ("undecided", "y")
    assert "too many numbers" in verdict.reason


@pytest.mark.parametrize("batch", ["4", "N"])
def test_places_of_a_kernel_that_no_image_can_meet_are_dead(batch: str) -> None:
    """A kernel of 3 by 3 over images of 1 by 1, whose sizes are fixed: its outer places only meet padding."""
    text = f"(float[{batch},2,1,1] x) => (float[{batch},4,1,1] y) {{ y = Conv<pads = [1, 1, 1, 1]>(x, W) }}"
    kernel = np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype("f4")
    outer, inner = kernel.copy(), kernel.copy()
    outer[1, 1, 0, 2] += 1
    inner[1, 1, 1, 1] += 1
    assert check(made(text, W=kernel), made(text, W=outer))
    assert check(made(text, W=kernel), made(text, W=inner)).state == "different"


def test_places_of_a_kernel_are_reached_where_an_image_may_be_larger() -> None:
    text = "(float[N,2,H,W] x) => (y) { y = Conv<pads = [8, 8, 8, 8]>(x, K) }"
    kernel = np.random.default_rng(0).normal(size=(1, 2, 17, 17)).astype("f4")
    outer = kernel.copy()
    outer[0, 1, 16, 16] += 1
    assert check(made(text, K=kernel), made(text, K=kernel))
    assert check(made(text, K=kernel), made(text, K=outer)).state != "equal"


def test_a_place_that_a_batch_of_two_does_not_have_is_reached() -> None:
    text = "(float[N,T,4] x) => (float[T,4] y) { y = Gather<axis=0>(x, third) }"
    models = [made(text, third=np.array(place)) for place in (-3, -4)]
    assert check(models[0], models[0])
    assert check(*models).state == "different"


def test_lengths_that_a_resize_states_for_fixed_axes_are_not_decisions() -> None:
    """A student has more channels, and says so where the image is resized; both say the same of the image."""
    text = """(float[2,2,H,W] x) => (y) {
        a = Conv(x, K) r = Resize<mode = "nearest">(a, , , to) y = Conv(r, L)
    }"""
    first, last = (np.random.default_rng(0).normal(size=(3, width, 1, 1)).astype("f4") for width in (2, 3))
    wide = {"K": np.concatenate([first, first[:1]]), "L": np.concatenate([last, last[:, :1] * 0], 1)}
    teacher = made(text, K=first, L=last, to=np.array([2, 3, 6, 6]))
    assert check(teacher, made(text, **wide, to=np.array([2, 4, 6, 6])))
    assert check(teacher, made(text, **wide, to=np.array([2, 4, 6, 9]))).state == "different"


def test_large_images_of_a_stated_size_are_tried_smaller_where_no_node_states_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that takes any image is compared on a small one; one with a window of the image's size is not."""
    monkeypatch.setattr(trying, "LARGE", 1 << 16)
    kernel = np.random.default_rng(0).normal(size=(16, 16, 3, 3)).astype("f4")
    layers = " ".join(f"c{n + 1} = Conv<pads = [1, 1, 1, 1]>(c{n}, K) " for n in range(4))
    text = "(float[1,16,64,64] x) => (float[1,16,A,B] y) {{ c0 = Identity(x) {} y = {} }}"
    pooled = made(text.format(layers, "GlobalAveragePool(c4)"), K=kernel)
    verdict = check(pooled, pooled)
    assert (verdict.state, verdict.declared) == ("equal", False)
    assert all(max(shapes["x"][2:]) < 64 for shapes in verdict.shapes)
    assert "smaller than is declared" in str(verdict)
    other = made(text.format(layers, "AveragePool<kernel_shape = [63, 63]>(c4)"), K=kernel)
    verdict = check(other, other)
    assert (verdict.state, verdict.declared) == ("equal", True)
    assert check(pooled, other).state != "equal"


def test_a_length_below_zero_is_a_free_axis() -> None:
    """As some exporters write it: the models take any batch."""
    relu, tanh = (made(f"(float[N, 3] x) => (float[N, 3] y) {{ y = {name}(x) }}") for name in ("Relu", "Tanh"))
    for each in (relu, tanh):
        each.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    assert len(check(relu, relu).shapes) == 2
    assert check(relu, tanh).state == "different"


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_other_lengths_are_longer_by_one_or_few(shapes: list[list[str | int]]) -> None:
    given_ = values(*shapes)
    attempt = next(sizes.attempts(given_))
    kinds = [each for each in sizes.names(given_) if each]
    longer, level = (list(sizes.longer(given_, None, attempt[0])), list(sizes.level(given_, None, attempt)))
    assert len(longer) == len(kinds)
    for each in longer:
        assert each != attempt[0]
        for name, shape in each.items():
            assert all(new in {old, old + 1} for new, old in zip(shape, attempt[0][name], strict=True))
    assert all(each not in attempt for each in level)
    for which in kinds:  # every length below twice a small one is met, by these or by the attempt
        runs = [_by_name(shapes, each) for each in (*attempt, *level)]
        least = min(runs[0][name] for name in which)
        few = range(1, 2 * least) if least <= sizes.LARGER else [1]
        assert {*few} <= {lengths[which[0]] for lengths in runs}


def _by_name(shapes: list[list[str | int]], found: sizes.Shapes) -> dict[str, int]:
    return {
        str(each or f"x{place}[{axis}]"): found[f"x{place}"][axis]
        for place, shape in enumerate(shapes)
        for axis, each in enumerate(shape)
        if isinstance(each, str)
    }
