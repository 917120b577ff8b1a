"""The notation of declarations: what it means, and what is not in it."""

from __future__ import annotations

import pytest

from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.notation import Operand, Term, parse

N, C, GC, PINNED = (Term(letters) for letters in [("n",), ("c",), ("g", "c"), ("_",)])
RUN, PINNED_RUN = Term(("s",), run=True), Term(("_",), run=True)


@pytest.mark.parametrize(
    ("text", "operand"),
    [
        ("n c", Operand((N, C))),
        ("n (g c) *s", Operand((N, GC, RUN))),
        ("n(g c)*s", Operand((N, GC, RUN))),
        ("n _ *_", Operand((N, PINNED, PINNED_RUN))),
        ("c?", Operand((C,), optional=True)),
        (" ~*s n ?", Operand((RUN, N), optional=True, broadcast=True)),
        ("(c)", Operand((C,))),
        ("n 1", Operand((N, Term(("1",))))),
        ("", Operand(())),
    ],
)
def test_an_operand(text: str, operand: Operand) -> None:
    assert parse(f"{text} -> n").inputs == (operand,)
    assert parse(f"n -> {text}").outputs == (operand,)


def test_letters_are_those_that_name_axes() -> None:
    assert parse("n (g c) *s _ *_ -> 1").inputs[0].letters == {"n", "g", "c", "s"}
    assert parse("n -> 1").outputs[0].letters == frozenset()


@pytest.mark.parametrize(
    ("text", "contracted"),
    [
        ("m k, k n -> m n", {"k"}),
        ("n (g c) *_, (g m) c *_, (g m)? -> n (g m) *_", {"c"}),
        ("k, k ->", {"k"}),
        ("*p -> *p", set()),
        ("n *s -> n", {"s"}),
    ],
)
def test_a_letter_that_is_missing_on_the_right_is_contracted(text: str, contracted: set[str]) -> None:
    assert parse(text).contracted == contracted


def test_dots_repeat_the_last_operand() -> None:
    repeating, plain = parse("n, ~*p ... -> *p"), parse("n, ~*p -> *p")
    assert [repeating.operand(slot) for slot in (1, 2, 9)] == [plain.operand(1)] * 3
    assert plain.operand(2) is None


def test_parsing_is_cached() -> None:
    assert parse("a b -> b a") is parse("a b -> b a")


@pytest.mark.parametrize(
    "text",
    ["n c", "", "n c -> (n", "n c) -> n", "n ((g c) m) -> n", "N -> N", "n 2 -> n", "n + c -> n", "n ? c -> n"],
)
def test_what_is_not_in_the_notation(text: str) -> None:
    with pytest.raises(ValueError, match=r"declaration|axes"):
        parse(text)


def declaration(text: str, **roles: str) -> Declaration:
    return Declaration.parse(text, sizes={}, **{"even": "", "maximum": "", "pinned": "", "partial": False, **roles})


def test_a_reduction_must_be_explained() -> None:
    with pytest.raises(ValueError, match="'c' is contracted on one operand"):
        declaration("n c -> n")
    for role in ("even", "maximum", "pinned"):
        assert declaration("n c -> n", **{role: "c"}).pattern == parse("n c -> n")
