"""The plugin in a run of pytest: it records where it is asked to, and breaks nobody's tests."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import onnx
import pytest

from helpers.calling import net
from helpers.commands import SECONDS
from onnx_n2n.exact import checking  # noqa: F401 - pytester forgets what was first imported in a run of its own
from onnx_n2n.testing import assert_same_function, goldens, plugin  # noqa: F401 - as above

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.parametrize("which", ["one", "a/b"])
def test_it(onnx_golden, which):
    onnx_golden.check("net.onnx")
"""
INSTALLED = any(each.value == plugin.__name__ for found in distributions() for each in found.entry_points)


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    load = () if INSTALLED else ("-p", plugin.__name__)
    return pytester.runpytest_inprocess(*load, "-p", "no:cacheprovider", *arguments)


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_net=TESTS)
    onnx.save(net(), "net.onnx")
    return pytester


def test_it_is_recorded_when_asked_for_and_compared_ever_after(suite: pytest.Pytester) -> None:
    missing = run(suite)
    missing.assert_outcomes(failed=2)
    missing.stdout.fnmatch_lines(['E*pytest --update-golden "test_net.py::test_it[[]one[]]"'])
    assert not Path("golden").exists()
    recorded = run(suite, "--update-golden")
    recorded.assert_outcomes(passed=2)
    recorded.stdout.fnmatch_lines(["*golden models recorded*", "golden/test_net/test_it[[]a-b[]]-*.json"])
    names = sorted(each.name for each in Path("golden/test_net").iterdir())
    run(suite).assert_outcomes(passed=2)
    wrong = net()
    wrong.graph.node[1].op_type = "Sigmoid"
    onnx.save(wrong, "net.onnx")
    failed = run(suite)
    failed.assert_outcomes(failed=2)
    assert "goldens.py" not in failed.stdout.str()  # the failure is at the line of the test
    assert "golden models recorded" not in failed.stdout.str()
    assert sorted(each.name for each in Path("golden/test_net").iterdir()) == names
    assert len(names) == 6


def test_one_folder_for_all(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\nonnx_golden_dir = expected/models")
    suite.mkdir("sub")
    Path("test_net.py").rename("sub/test_net.py")
    run(suite, "--update-golden", "-k", "one").assert_outcomes(passed=1, deselected=1)
    assert Path("expected/models/sub/test_net/test_it[one].json").exists()
    run(suite, "-k", "one").assert_outcomes(passed=1, deselected=1)


@pytest.mark.parametrize("place", ["conftest.py", "sub/conftest.py"])
def test_an_option_of_the_same_name_is_no_clash(place: str, suite: pytest.Pytester) -> None:
    suite.mkdir("sub")
    Path("sub/test_more.py").write_text("def test_more(): pass")
    Path(place).write_text("def pytest_addoption(parser): parser.addoption('--update-golden', dest='theirs')")
    run(suite, "-k", "more").assert_outcomes(passed=1, deselected=2)
    if place == "conftest.py":
        run(suite, "--update-golden=yes").assert_outcomes(passed=3)
        assert Path("golden").exists()


def test_a_worker_of_xdist_is_told(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig()
    assert not plugin._asked(config)
    config.option.update_golden = True  # as xdist hands options over
    assert plugin._asked(config)


def test_the_help_has_the_option(pytester: pytest.Pytester) -> None:
    run(pytester, "--help").stdout.fnmatch_lines(["onnx-n2n:", "*--update-golden*", "*onnx_golden_dir*"])


def test_the_entry_point_is_the_plugin() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"onnx_n2n": plugin.__name__}
    assert not any(each.startswith("pytest") for each in project["dependencies"])


def test_the_plugin_loads_nothing_else() -> None:
    """It is loaded in every run of pytest of whoever has this package, and before coverage is measured."""
    code = "import pytest, sys; old = set(sys.modules); import onnx_n2n.testing.plugin; print(*set(sys.modules) - old)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
    ours = {"onnx_n2n", "onnx_n2n.lazily", "onnx_n2n.version", "onnx_n2n.testing", "onnx_n2n.testing.plugin"}
    assert {each for each in done.stdout.split() if each.startswith("onnx_n2n")} == ours
    assert len(done.stdout.split()) < 12
