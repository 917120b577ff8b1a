"""Values of options, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from hypothesis import strategies as st

from onnx_n2n.options import Option, options
from onnx_n2n.passes import Pass

WORDS = st.text("ab.*:=,{}\"\\' \n", min_size=1, max_size=5)
KERNELS = st.sampled_from(["3x3", "5", "1x7"])


def values(each: Option, texts: st.SearchStrategy[str] = WORDS) -> st.SearchStrategy[Any]:
    """What an option may be."""
    if each.choices:
        return st.sampled_from(each.choices)
    if each.name == "kernel":
        return st.lists(KERNELS) if get_origin(each.kind) is Sequence else KERNELS
    if each.is_path:
        return st.text("ab", min_size=1, max_size=3)
    kind = get_args(each.kind)[0] if get_origin(each.kind) is Sequence else each.scalar
    least = each.said.least or 0
    if kind is bool:
        return st.booleans()
    numbers = {int: st.integers(int(least) or 1, 99), float: st.floats(least, 99)}
    if get_origin(kind) is Mapping:
        return st.dictionaries(texts, st.integers(0, 99), max_size=3)
    one = numbers.get(kind, texts)
    return st.lists(one, max_size=3) if get_origin(each.kind) is Sequence else one


def filled(kind: type[Pass], texts: st.SearchStrategy[str] = WORDS) -> st.SearchStrategy[dict[str, Any]]:
    drawn = {each.name: values(each, texts) for each in options(kind)}
    first = {"size": drawn.pop("size")} if "size" in drawn else {}  # the one without a usual value that has a meaning
    return st.fixed_dictionaries(first, optional=drawn)
