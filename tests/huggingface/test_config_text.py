"""Fields of a config change in its text, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_n2n.huggingface.config_text import changed

NAMES = st.sampled_from(["a", "b", "hidden size", "text_config", "é", '"}{:,'])
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
LISTED = VALUES | st.lists(VALUES, max_size=3)
CONFIGS = st.recursive(
    st.dictionaries(NAMES, LISTED, max_size=4),
    lambda inner: st.dictionaries(NAMES, LISTED | inner, max_size=4),
    max_leaves=9,
)


def put(config: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Return a config with another value at a path, in the order in which its entries were."""
    inner = put(config.get(path[0], {}), path[1:], value) if path[1:] else value
    return {**config, path[0]: inner}


@given(CONFIGS, st.lists(NAMES, min_size=1, max_size=3), LISTED, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_a_field_changes_and_nothing_else(
    config: dict[str, Any], path: list[str], value: Any, indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(config, indent=indent, ensure_ascii=ascii_only) + "\n"
    above: Any = config
    for name in path[:-1]:
        above = above.get(name, {})
        if not isinstance(above, dict):
            with pytest.raises(ValueError, match="which is no config"):
                changed(text, {".".join(path): value})
            return
    new = changed(text, {".".join(path): value})
    wanted = put(config, path, value)
    assert json.loads(new) == wanted
    assert json.dumps(json.loads(new)) == json.dumps(wanted)  # and in the same order
    assert changed(new, {".".join(path): value}) == new
    if path[-1] in above:
        before, after = json.dumps(above[path[-1]]), json.dumps(value)
        if indent is None and ascii_only:
            assert len(new) - len(text) == len(after) - len(before)
    if config and indent is not None and ascii_only and not isinstance(value, list):
        assert new == json.dumps(wanted, indent=indent) + "\n"


def test_numbers_and_white_space_stay_as_they_are_written() -> None:
    text = '{"eps": 1.0E-06 ,\r\n  "list":[1,2 ,3], "n": {  }, "size":8}'
    assert changed(text, {"size": 12}) == text.replace("8}", "12}")
    assert changed(text, {"list": [4, 5]}) == text.replace("[1,2 ,3]", "[4, 5]")
    assert json.loads(changed(text, {"n.m": 1, "k": True})) == {
        "eps": 1e-6, "list": [1, 2, 3], "n": {"m": 1}, "size": 8, "k": True,
    }  # fmt: skip
    assert changed("{}", {"a.b": 1}) == '{"a": {"b": 1}}'
    assert changed('{\n  "a": 1\n}', {"b": 2}) == '{\n  "a": 1,\n  "b": 2\n}'
    assert changed('{\n  "a": {}\n}', {"a.b": [2]}) == '{\n  "a": {\n    "b": [\n      2\n    ]\n  }\n}'
    assert changed('{\n  "a": [1, 2]\n}', {"a": [3]}) == '{\n  "a": [3]\n}'
    assert changed('{"x": Infinity, "y": 1}', {"y": 2}) == '{"x": Infinity, "y": 2}'
