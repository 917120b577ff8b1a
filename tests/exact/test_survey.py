"""What no batch gives a part in a run is found at once; and what a large batch does give one is not taken for that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from onnx_n2n.exact import check, sizes
from onnx_n2n.exact import pair as module
from onnx_n2n.exact.files import load
from onnx_n2n.exact.pair import Pair

IMAGE = "(float[N,2,1,1] x) => (float[N,4,1,1] y) { y = Conv<pads = [1, 1, 1, 1]>(x, W) }"
KERNEL = np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype("f4")
TABLE = np.random.default_rng(1).normal(size=(4, 3)).astype("f4")
HEAD = """(float[N,3] x) => (float[N,3] y) {
    s = Shape(x) o = Constant<value_ints = [0]>() n = Gather(s, o) z = Constant<value_ints = [0]>()
    i = Constant<value_ints = [1]>() f = Constant<value_ints = [100]>() """
# What has a part in a run from 101 rows on, and none in fewer.
LATE = {
    "rows behind the first hundred of a constant that is as long as the batch": """
        three = Constant<value_ints = [3]>() to = Concat<axis = 0>(n, three) e = Constant<value_ints = [1000]>()
        r = Slice(W, z, i, z) rows = Expand(r, to) part = Slice(rows, f, e, z) u = ReduceSum<keepdims = 1>(part, z)
        y = Add(x, u) }""",
    "a row that is found by what the batch has above a hundred": """
        d = Sub(n, f) t = Max(d, z) row = Gather(W, t) y = Add(x, row) }""",
    "a window over the batch": """
        c = Transpose<perm = [1, 0]>(x) j = Constant<value_ints = [1]>() m = Unsqueeze(c, j)
        k = Unsqueeze(W2, j) v = Conv<dilations = [100], pads = [100, 100]>(m, k) b = Squeeze(v, j)
        y = Transpose<perm = [1, 0]>(b) }""",
}


def made(text: str, **constants: np.ndarray) -> onnx.ModelProto:
    model = parser.parse_model(f'<ir_version: 9, opset_import: ["": 18]> g {text}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return model


@pytest.mark.parametrize("name", LATE)
def test_what_only_a_large_batch_gives_a_part_is_not_dead(name: str) -> None:
    wrong, kernel = TABLE + np.float32(1), np.ones((1, 3), "f4")
    other = kernel + np.array([[1, 0, 1]], "f4")
    models = [made(HEAD + LATE[name], W=table, W2=k) for table, k in ((TABLE, kernel), (wrong, other))]
    assert check(*models).state != "equal"


def test_what_meets_padding_at_any_batch_is_dead_after_three_runs_without_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made_for: list[int] = []
    field = module.Field

    def noted(count: int, *others: object, **more: object) -> object:
        made_for.append(count)
        return field(count, *others, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "Field", noted)
    pairs: list[Pair] = []
    on = Pair.on
    monkeypatch.setattr(Pair, "on", lambda pair, attempt: (pairs.append(pair), on(pair, attempt))[1])
    model = made(IMAGE, W=KERNEL)
    found = check(model, model)
    assert found
    few = len(list(sizes.level(list(model.graph.input), None, found.shapes)))
    assert made_for == [5] * (2 + few)  # two sets of lengths, and few; no run with numbers left anything unread
    # Of both models, at these, at a large batch and at few; of the teacher at a much larger one, too.
    assert len(pairs[-1].surveys) == 2 * (3 + few) + 1


def test_a_survey_says_which_nodes_meet_what_is_unread() -> None:
    file = load(made(IMAGE, W=KERNEL))
    pair = Pair(file, file)
    small, large = (pair.survey({"x": (batch, 2, 1, 1)}, 0) for batch in (2, 9))
    assert small.missing.size
    assert {visit[1] for visit in small.met} == {"Conv"}
    assert small.like(large)
    assert not replace(small, met={}).like(replace(large, met={}))  # where it has gone is not known
    other = load(made(IMAGE.replace("N,2,1,1] x", "N,2,H,W] x").replace("N,4,1,1", "N,4,H,W"), W=KERNEL))
    pair = Pair(other, other)
    one, two = (pair.survey({"x": shape}, 0) for shape in ((2, 2, 1, 1), (2, 2, 1, 2)))
    assert not one.like(two)
