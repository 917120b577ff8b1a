"""The pytest plugin: the fixture ``onnx_golden`` and the option ``--update-golden``.

It is loaded in every run of pytest of whoever installs this package, so it imports nothing until the fixture is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from onnx_n2n.testing.goldens import Goldens

OPTION, DEST = "--update-golden", "update_golden"
FOLDER = "onnx_golden_dir"
RECORDED = "onnx_golden"  # the property of a test's report that names what it has recorded

HELP = "Record what the models of `onnx_golden` compute now, where nothing is recorded or it is another."
FOLDER_HELP = "Folder of all golden files, from the root of pytest; without it each test module has `golden` beside it."


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what an ini file may say."""
    parser.addini(FOLDER, FOLDER_HELP, default="")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> Generator[None, object, object]:
    """Add the option where it is asked for and nobody has it.

    Many a ``conftest.py`` adds an option of this name, and pytest refuses to start where two do. With theirs, ours is
    the same option.
    """
    found = yield
    if {OPTION, "-h", "--help"} & set(args):
        with contextlib.suppress(ValueError):  # it is there already
            parser.getgroup("onnx-n2n").addoption(OPTION, action="store_true", dest=DEST, help=HELP)
    return found


@pytest.fixture
def onnx_golden(request: pytest.FixtureRequest) -> Goldens:
    """Golden models: ``onnx_golden.check(model)`` compares with what was recorded once."""
    from onnx_n2n.testing.goldens import Goldens
    from onnx_n2n.testing.places import folders

    node, config = request.node, request.config
    golden, inside = folders(node.path, config.rootpath, config.getini(FOLDER))

    def recorded(name: str) -> None:
        node.user_properties.append((RECORDED, name))

    return Goldens(golden, inside, node.nodeid, update=_asked(config), on_record=recorded)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name what was recorded: nobody should commit it unseen."""
    reports = [each for kind in terminalreporter.stats.values() for each in kind if hasattr(each, "user_properties")]
    found = sorted({str(value) for each in reports for name, value in each.user_properties if name == RECORDED})
    if found:
        terminalreporter.section("golden models recorded")
        for name in found:
            terminalreporter.line(name)


def _asked(config: pytest.Config) -> bool:
    """Whether to record, by whoever's option; a worker of pytest-xdist is given its value without the option."""
    return bool(config.getoption(OPTION, None) or config.getoption(DEST, None))
