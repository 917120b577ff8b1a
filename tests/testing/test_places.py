"""Golden files are in their folder, under names that every file system takes."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from onnx_n2n.errors import OptionError
from onnx_n2n.testing.places import dotted, folders, inside, portable, stem

ODD = [
    "../x", "/etc/passwd", "a\\b", "C:x", "con", "NUL.txt", "com1", ".", "..", "x.", ".x", "a b", "ä", "x" * 300,
    "a/b\0",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(ODD), st.text(min_size=1, max_size=20), st.text("a./\\:-[]_ ", min_size=1, max_size=6)
)


@given(texts)
def test_a_name_is_one_part_of_a_path_on_every_system(text: str) -> None:
    found = portable(text)
    assert re.fullmatch(r"[\w.\[\]-]{1,110}", found, re.ASCII)
    assert not re.search(r"^\.|\.$|\.\.", found)
    assert not PureWindowsPath(found).is_reserved()
    assert portable(found) == found


@given(texts, texts)
def test_other_names_are_other_files(one: str, other: str) -> None:
    assume(one != other)
    assert portable(one) != portable(other)


@pytest.mark.parametrize("text", ["test_it", "test_it[resnet-1.5]", "TestIt.test_that"])
def test_ordinary_names_stay(text: str) -> None:
    assert portable(text) == text


@given(st.lists(st.text("ab_", min_size=1), max_size=2), texts, texts)
def test_parameters_are_told_apart_whatever_they_are_called(around: list[str], one: str, other: str) -> None:
    """``[a::b]`` is no class ``[a`` with a test ``b]``."""
    assume(one != other)
    first, second = ("::".join((*around, f"test_it[{each}]")) for each in (one, other))
    assert stem(dotted(first), None) != stem(dotted(second), None)


@pytest.mark.parametrize("name", ["", "  "])
def test_a_check_has_no_empty_name(name: str) -> None:
    with pytest.raises(OptionError, match="empty"):
        stem("test_it", name)


def test_files_are_beside_their_module_or_in_the_one_folder() -> None:
    module, root = Path("/a/tests/b/test_it.py"), Path("/a")
    assert folders(module, root, "") == (Path("/a/tests/b/golden"), ("test_it",))
    assert folders(module, root, "gold") == (Path("/a/gold"), ("tests", "b", "test_it"))
    assert folders(module, Path("/c"), "gold") == (Path("/c/gold"), ("a", "tests", "b", "test_it"))


@pytest.mark.parametrize("link", ["golden", "golden/tests", "golden/tests/test_it"])
def test_no_link_leads_out_of_the_folder(link: str, tmp_path: Path) -> None:
    place, parts = tmp_path / link, ("tests", "test_it")
    assert inside(tmp_path / "golden", parts) == tmp_path / "golden" / "tests" / "test_it"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(tmp_path)
    with pytest.raises(OptionError, match="link"):
        inside(tmp_path / "golden", parts)
    place.unlink()
    place.write_text("a file")
    with pytest.raises(OptionError, match="no folder"):
        inside(tmp_path / "golden", parts)
