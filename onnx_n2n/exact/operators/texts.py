"""Texts: each is a number of its own, and what is made of them a function of these."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onnx_n2n.exact.functions import define
from onnx_n2n.exact.operators.opaque import by_row
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import BOOL, FLOAT, STRING, Tensor, Value
from onnx_n2n.exact.undecided import Undecided


def _unseen(*_: object) -> np.ndarray:
    raise Undecided("texts cannot be drawn")


_real: Callable[..., np.ndarray] = _unseen
CONCAT, MATCH, CASE = (define(name, _real) for name in ("StringConcat", "RegexFullMatch", "StringNormalizer"))


@rule("StringConcat", since=20)
def concat(site: Site) -> Tensor:
    """Put two texts one behind the other."""
    return site.result(site.world.apply(CONCAT, (), site.numbers(0), site.numbers(1)), STRING)


@rule("RegexFullMatch", since=20)
def match(site: Site) -> Tensor:
    """Return whether a pattern matches a whole text."""
    return site.result(site.world.apply(MATCH, (site.attribute("pattern"),), site.numbers(0)), BOOL)


@rule("StringNormalizer", since=10)
def normalizer(site: Site) -> Value:
    """Change the case of texts, where none is left out."""
    if site.attribute("stopwords"):
        raise Undecided("how many texts are left depends on the model's inputs")
    site.ignore("is_case_sensitive")  # says how texts are compared with those that are left out
    action, locale = site.attribute("case_change_action", "NONE"), site.attribute("locale", "")
    if action == "NONE":
        return site.tensor(0)
    return site.result(site.world.apply(CASE, (action, locale), site.numbers(0)), STRING)


@rule("StringSplit", since=20)
def split(site: Site) -> None:  # noqa: ARG001
    """Say that a text's parts cannot be counted."""
    raise Undecided("how many parts a text has depends on the model's inputs")


@rule("TfIdfVectorizer", since=9)
def counts(site: Site) -> Tensor:
    """Return how often sequences occur in a row, each weighted."""
    x, places = site.numbers(0), site.attribute("ngram_indexes")
    return site.result(by_row(site, x, max(places) + 1), FLOAT)
