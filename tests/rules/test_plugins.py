"""Other packages add rules and passes; a broken one says so in one sentence, and none replaces what is built in."""

from __future__ import annotations

import os
import re
import shlex
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path

import onnx
import pytest
from onnx import parser

import onnx_n2n
from helpers.calling import call
from helpers.commands import run
from helpers.graphs import model
from helpers.plugins import EXAMPLE, install, install_example, site_packages
from onnx_n2n import plugins
from onnx_n2n.errors import EnvironmentWarning, OptionError
from onnx_n2n.passes import parse

__all__ = ["site_packages"]

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text("utf-8")
GATE = parser.parse_function(
    '<domain: "acme", opset_import: ["" : 17]> Gate (x, g) => (y) '
    "{ s = Constant<value_ints=[1,-1,1,1]>() r = Reshape(g, s) t = Sigmoid(r) y = Mul(x, t) }"
)
GATED = "h = Conv(x, w) k = acme.Gate(h, g) y = Conv(k, v)"


def gated() -> onnx.ModelProto:
    found = model(GATED, "float[N,3,6,6] x", "y", w=(4, 3, 1, 1), g=(4,), v=(2, 4, 1, 1))
    for node in found.graph.node:
        node.name = node.output[0]
    return found


def runnable(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a definition of the operator, which ONNX Runtime does not know otherwise."""
    proto.functions.append(GATE)
    return proto


def widths(proto: onnx.ModelProto) -> dict[str, list[int]]:
    return {tensor.name: list(tensor.dims) for tensor in proto.graph.initializer}


def test_without_the_package_its_operator_is_pinned() -> None:
    assert {pin.reason.text for pin in onnx_n2n.analyze(gated()).pins} >= {"Gate: no rule for acme::Gate at version 1"}


def test_the_library_grows_what_the_rule_of_a_package_is_for(site_packages: Path) -> None:
    install_example(site_packages)
    teacher = gated()
    student = onnx_n2n.widen(teacher, 1.5, verify=False).model
    assert widths(student) == {"w": [6, 3, 1, 1], "g": [6], "v": [2, 6, 1, 1]}
    assert onnx_n2n.verify(runnable(teacher), runnable(student)).ok


def test_the_command_line_grows_it_too_and_runs_the_pass(site_packages: Path, tmp_path: Path) -> None:
    install_example(site_packages)
    onnx.save(gated(), tmp_path / "net.onnx")
    paths = os.pathsep.join([str(site_packages), os.environ.get("PYTHONPATH", "")])
    done = run(
        tmp_path, "run", "net.onnx", "-p", "widen{factor=1.5},gain{only=h}", "--no-verify", "-o", "new.onnx",
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    student = onnx.load(tmp_path / "new.onnx")
    assert widths(student) == {"w": [6, 3, 1, 1], "g": [6], "v": [2, 6, 1, 1], "h_deeper.gain": [6, 1, 1]}
    assert onnx_n2n.verify(runnable(gated()), runnable(student)).ok


def test_a_pass_of_a_package_is_verified_and_stands_in_the_history(site_packages: Path, tmp_path: Path) -> None:
    install_example(site_packages)
    proto = model("h = Conv(x, w) y = Relu(h)", "float[N,3,6,6] x", "y", w=(4, 3, 1, 1))
    proto.graph.node[0].name = "first"
    onnx.save(proto, tmp_path / "net.onnx")
    result = parse("gain")(tmp_path / "net.onnx")
    assert result.report.verdict is not None
    assert result.report.verdict.ok
    (entry,) = onnx_n2n.io.history.history(onnx_n2n.load(result.model))
    assert str(parse(entry.text)) == "gain"
    assert str(parse("gain{only=first}")) == "gain{only=first}"
    assert call("log", result.model).output.count("gain") == 1


def test_packages_are_looked_through_again_only_after_one_has_come_or_gone(
    site_packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def looking(group: str) -> EntryPoints:
        looks.append(group)
        return entry_points(group=group)

    monkeypatch.setattr(plugins, "entry_points", looking)
    with pytest.raises(OptionError, match="no pass 'gain'"):
        parse("gain")
    install_example(site_packages)
    assert str(parse("gain,widen,gain")) == "gain,widen,gain"
    assert str(parse("gain")) == "gain"
    assert looks == [plugins.PASSES] * 2
    next(site_packages.glob("*.dist-info")).rename(site_packages.parent / "gone")
    with pytest.raises(OptionError, match="no pass 'gain'"):
        parse("gain")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (
            "from onnx_n2n.rules import declare\ndeclare('New', 'n -> n', domain='b')\ndeclare('Conv', 'n -> n')",
            "ValueError: Conv has a built-in rule, which cannot be replaced",
        ),
        ("from onnx_n2n.rules import declare\ndeclare('New', 'n = n', domain='b')", "a declaration needs '->'"),
        ("from onnx_n2n.rules import content\n@content('Cast')\ndef f(site): ...", "Cast has a built-in rule"),
    ],
)
def test_a_broken_package_of_rules_is_one_warning_and_registers_nothing(
    site_packages: Path, source: str, said: str
) -> None:
    install(site_packages, "n2n-broken", {"onnx_n2n.rules": {"mine": "broken_rules"}}, broken_rules=source)
    with pytest.warns(EnvironmentWarning) as warned:
        known = set(onnx_n2n.rules.known()) if onnx_n2n.analyze(gated()) else set()
    (text,) = {str(each.message) for each in warned}
    assert "entry point 'mine' (onnx_n2n.rules) of package 'n2n-broken' cannot be used" in text
    assert said in text
    assert ("b", "New", 1) not in known


def test_two_packages_cannot_have_a_rule_for_one_operator(site_packages: Path) -> None:
    install_example(site_packages)
    source = "from onnx_n2n.rules import declare\ndef register(): declare('Gate', 'n _ *s, _ -> n _ *s', domain='acme')"
    install(site_packages, "n2n-other", {"onnx_n2n.rules": {"other": "other:register"}}, other=source)
    with pytest.warns(EnvironmentWarning, match="'other'.*'n2n-other'.*Gate has a rule since version 1 already"):
        assert onnx_n2n.analyze(gated()).groups


@pytest.mark.parametrize(
    ("entry", "source", "said"),
    [
        ("mine:Mine", "import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        ("mine:Other", "", "AttributeError"),
        ("mine:Mine", "class Mine: ...", "mine:Mine is not a dataclass that inherits from Pass"),
        ("mine:Mine", "from onnx_n2n.passes import Widen as Mine", "its name must be that of its class, 'widen'"),
        (
            "mine:Mine",
            "from dataclasses import dataclass\nfrom onnx_n2n.passes import Pass\n@dataclass\nclass Mine(Pass): ...",
            "mine:Mine does not define",
        ),
    ],
)
def test_a_broken_pass_is_one_error(site_packages: Path, entry: str, source: str, said: str) -> None:
    install(site_packages, "n2n-broken", {"onnx_n2n.passes": {"mine": entry}}, mine=source)
    with pytest.raises(OptionError) as failure:
        parse("mine{a=1}")
    assert "entry point 'mine' (onnx_n2n.passes) of package 'n2n-broken' cannot be used" in str(failure.value)
    assert said in str(failure.value)
    assert parse("widen")


def test_a_pass_that_is_built_in_is_not_replaced(site_packages: Path) -> None:
    install(site_packages, "n2n-rude", {"onnx_n2n.passes": {"widen": "rude:Widen"}}, rude="raise SystemExit")
    with pytest.warns(EnvironmentWarning, match="'widen'.*'n2n-rude'.*built in, and cannot be replaced"):
        assert isinstance(parse("widen").passes[0], onnx_n2n.Widen)


def test_a_pass_that_is_nowhere_names_those_of_packages_too(site_packages: Path) -> None:
    install_example(site_packages)
    with pytest.raises(OptionError, match=r"there is no pass 'gian'. Perhaps you mean 'gain'"):
        parse("gian")


def test_two_packages_with_a_pass_of_one_name_are_refused(site_packages: Path) -> None:
    install_example(site_packages)
    install(site_packages, "n2n-other", {"onnx_n2n.passes": {"gain": "other:Gain"}})
    with pytest.raises(OptionError, match="both have a pass 'gain'"):
        parse("gain")


def test_the_page_shows_the_example_and_its_commands_run(
    site_packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("pyproject.toml", "n2n_acme/rules.py", "n2n_acme/passes.py"):
        assert (EXAMPLE / file).read_text("utf-8") in PAGE, f"docs/extending.md shows another {file}"
    install_example(site_packages)
    monkeypatch.chdir(tmp_path)
    onnx.save(gated(), "model.onnx")
    commands = re.findall(r"^onnx-n2n ([^\n]*)$", PAGE, re.MULTILINE)
    assert commands
    for command in commands:
        outcome = call(*shlex.split(command))
        assert outcome.exit_code == 0, (command, outcome.output)
