"""Sequences, optionals and texts: moved as ONNX says, and compared element by element."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.exactly import as_expected, as_runtime, cases, never_equal, written
from onnx_n2n.exact import check

model = partial(written, opset=21)
OPERATORS = (
    "SequenceInsert", "SplitToSequence", "SequenceMap", "OptionalHasElement", "OptionalGetElement", "TfIdfVectorizer",
)  # fmt: skip
TEXTS = {  # what is undecided over drawn inputs, and why
    "StringConcat": "texts cannot be drawn", "RegexFullMatch": "texts cannot be drawn",
    "StringSplit": "how many parts", "StringNormalizer": "how many texts are left",
}  # fmt: skip


@pytest.mark.parametrize("case", cases(*OPERATORS), ids=lambda case: case.name)
def test_the_node_tests(case: Any) -> None:
    assert as_expected(case) == ""


@pytest.mark.parametrize("case", cases(*TEXTS), ids=lambda case: case.name)
def test_texts_that_are_undecided(case: Any) -> None:
    if case.name.endswith("nostopwords_nochangecase"):
        assert as_expected(case) == ""
    else:
        assert TEXTS[case.model.graph.node[0].op_type] in as_expected(case)


SEQUENCE = "(float[N, 4] x, float[N, 4] z) => (seq(float) y, int64 n, float[N, 8] all) {{ {made} }}"
MADE = {
    "construct": "y = SequenceConstruct(x, z)",
    "insert": "a = SequenceConstruct(x) y = SequenceInsert(a, z)",
    "before": "a = SequenceConstruct(z) y = SequenceInsert(a, x, first)",
    "erase": "a = SequenceConstruct(x, x, z) y = SequenceErase(a, second)",
    "empty": "a = SequenceEmpty() b = SequenceInsert(a, x) y = SequenceInsert(b, z)",
    "split": "a = Concat<axis = 1>(x, z) y = SplitToSequence<axis = 1>(a, four)",
    "at": "a = SequenceConstruct(z, x) b = SequenceAt(a, last) c = SequenceAt(a, first) y = SequenceConstruct(b, c)",
    "exchanged": "y = SequenceConstruct(z, x)",
    "twice": "y = SequenceConstruct(x, x)",
    "other": "a = SequenceConstruct(x, x, z) y = SequenceErase(a)",
    "longer": "y = SequenceConstruct(x, z, z)",
    "changed": "a = Neg(z) y = SequenceConstruct(x, a)",
}
WRONG = {"exchanged", "twice", "other", "longer", "changed"}


def made(how: str, *, axis: int = 1, pick: str = "y") -> onnx.ModelProto:
    text = f"{MADE[how]} n = SequenceLength({pick}) all = ConcatFromSequence<axis = {axis}>({pick})"
    constants = {"first": 0, "second": 1, "last": -1, "four": 4}
    return model(SEQUENCE.format(made=text), **constants)


@pytest.mark.parametrize("how", MADE)
def test_a_sequence_is_what_the_runtime_makes(how: str) -> None:
    generator = np.random.default_rng(0)
    as_runtime(made(how), {name: generator.normal(size=(2, 4)).astype("f4") for name in "xz"})


@given(st.sampled_from(sorted(MADE)), st.sampled_from(sorted(MADE)))
@settings(deadline=None, max_examples=25)
def test_sequences_are_equal_where_their_elements_are(one: str, two: str) -> None:
    same = one == two or (one not in WRONG and two not in WRONG) or {one, two} == {"twice", "other"}
    assert (check(made(one), made(two)).state == "equal") == same


@pytest.mark.parametrize("how", sorted(WRONG - {"other"}))
def test_a_sequence_alone_is_compared(how: str) -> None:
    alone = [made(each) for each in ("construct", how)]
    for each in alone:
        del each.graph.output[1:]
    verdict = check(*alone)
    assert verdict.state != "equal"
    assert verdict.output == "y"


def test_where_things_are_put_together_matters() -> None:
    never_equal(made("construct"), made("construct", axis=0))


PICK = (
    "(float[N, 4] x, int64 i) => (float[N, 4] y) {{ a = Neg(x) s = SequenceConstruct({order}) y = SequenceAt(s, i) }}"
)


def test_a_place_that_is_an_input_may_be_any() -> None:
    never_equal(model(PICK.format(order="x, a")), model(PICK.format(order="a, x")))
    never_equal(model(PICK.format(order="x, a")), model(PICK.format(order="x, a, x")))


def test_what_no_batch_picks_makes_no_difference() -> None:
    text = "(float[N, 4] x) => (float[N, 4] y) { s = SequenceConstruct(k, l) a = SequenceAt(s, i) y = Add(x, a) }"
    constants = {"k": np.ones(4, "f4"), "l": np.ones(4, "f4")}
    for place, state in ((0, "equal"), (1, "different")):
        one = model(text, i=np.array(place), **constants)
        assert check(one, model(text, i=np.array(place), **{**constants, "l": np.full(4, 2, "f4")})).state == state


MAPPED = """(float[N, 6] x) => (float[N, 6] y) {{
    s = SplitToSequence<axis = 1>(x, two)
    t = SequenceMap <body = b (float[N, 2] p) => (float[N, 2] q) {{ q = {operator}(p, k) }}> (s)
    y = ConcatFromSequence<axis = 1>(t)
}}"""


@pytest.mark.parametrize(("operator", "k"), [("Add", 2.0), ("Sub", 1.0)])
def test_a_body_for_each_element_matters(operator: str, k: float) -> None:
    one = model(MAPPED.format(operator="Add"), two=np.array(2), k=np.float32(1))
    never_equal(one, model(MAPPED.format(operator=operator), two=np.array(2), k=np.float32(k)))


OPTIONAL = "(float[N, 4] x) => (float[N, 4] y) {{ o = Optional({given}) h = OptionalHasElement(o) {rest} }}"


def test_what_may_be_missing_is_known() -> None:
    rest = (
        "y = If (h) <then_branch = t () => (p) { p = OptionalGetElement(o) }, else_branch = e () => (q) { q = Neg(x) }>"
    )
    there = model(OPTIONAL.format(given="x", rest=rest))
    plain = model("(float[N, 4] x) => (float[N, 4] y) { y = Identity(x) }")
    assert check(there, plain).state == "equal"
    never_equal(there, model("(float[N, 4] x) => (float[N, 4] y) { y = Neg(x) }"))


def test_an_input_that_is_a_sequence_is_undecided() -> None:
    taken = model("(seq(float) x) => (float y) { y = SequenceAt(x, i) }", i=np.array(0))
    verdict = check(taken, taken)
    assert verdict.state == "undecided"
    assert "'x'" in verdict.reason


STRINGS = "(string[N, 4] x, string[N, 4] z) => ({type}[N, 4] y) {{ {made} }}"


def test_texts_go_through() -> None:
    concat, swapped = (STRINGS.format(type="string", made=f"y = StringConcat({order})") for order in ("x, z", "z, x"))
    never_equal(model(concat), model(swapped))
    patterns = [STRINGS.format(type="bool", made=f'y = RegexFullMatch<pattern = "{each}">(x)') for each in "ab"]
    never_equal(*map(model, patterns))
    line = '(string[4] x) => (string[4] y) {{ y = StringNormalizer<case_change_action = "{action}">(x) }}'
    never_equal(*(model(line.format(action=each)) for each in ("LOWER", "UPPER")))
    never_equal(*(model(line.format(action=each)) for each in ("LOWER", "NONE")))
    assert check(*[model(line.format(action="NONE"))] * 2).state == "equal"
