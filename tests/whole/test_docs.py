"""What README.md, CONTRIBUTING.md and docs/ show runs as it stands, and prints what they show.

Every block is run, or says in its fence why not. ``helpers/pages.py`` says how a page is written.
"""

from __future__ import annotations

import copy
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import onnx_n2n
from helpers.calling import call
from helpers.needing import needs
from helpers.pages import DATA, PAGES, ROOT, RUN, Block, Part, parts
from onnx_n2n.rules import registry

PARTS = [part for page in PAGES for part in parts(page)]
TO_RUN = [part for part in PARTS if any(block.language in RUN and not block.reason for block in part.blocks)]
every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a reader has in a clone; rules that a page registers are forgotten after it."""
    monkeypatch.setattr(registry, "_RULES", copy.deepcopy(registry._RULES))
    monkeypatch.setattr(registry, "_CONTENTS", dict(registry._CONTENTS))
    monkeypatch.setattr(registry, "_RANGES", dict(registry._RANGES))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "models", "models", ignore=shutil.ignore_patterns("*.py", "*.md", "*.json"))
    for name in ("benchmarks", "docs", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", TO_RUN, ids=[part.name for part in TO_RUN])
def test_what_a_page_shows_runs_as_it_stands(
    part: Part, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in part.needs:
        needs(module)
    page = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)  # dataclasses look there for the names of their module
    for block in part.blocks:
        if block.reason or block.language not in RUN:
            continue
        if block.language == "python":
            padded = "\n" * (block.line - 1) + block.text  # so that a traceback names the line of the page
            exec(compile(padded, str(part.page), "exec"), vars(page))
        else:
            for command, shown in commands(block):
                printed = run(command, f"{part.page}:{block.line}")
                assert not shown or matches(shown, printed), f"{part.page}:{block.line}: {command}\n{printed}"


def commands(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a block, each with what the page shows of its output (empty: nothing)."""
    text = re.sub(r" *\\\n *", " ", block.text)
    if block.language == "sh":
        return [(line, "") for line in text.splitlines() if line.strip()]
    _, *entries = re.split(r"^\$ ", text, flags=re.MULTILINE)
    return [(entry.split("\n")[0], entry.partition("\n")[2].strip()) for entry in entries]


def run(command: str, place: str) -> str:
    """Run a command, in this process if it is nothing but ours, and return what it prints."""
    words = shlex.split(command, comments=True)
    if words[0] == "onnx-n2n" and not {"|", ">", "<", "&&"} & set(words):
        outcome = call(*words[1:])
        code, output = outcome.exit_code, outcome.output
    else:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], env=os.environ | {"PATH": path}, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        code, output = done.returncode, done.stdout
    assert code == 0, f"{place}: {command}\n{output}"
    return "\n".join(line.rstrip() for line in output.splitlines()).strip()


def matches(shown: str, printed: str) -> bool:
    """Compare what a page shows with what was printed.

    Three dots stand for anything; the last digits of errors differ from machine to machine.
    """
    wanted = re.sub(r"\d\\\.\de\\-\d\d", r"\\d\\.\\de-\\d\\d", re.escape(shown)).replace(r"\.\.\.", ".*")
    return bool(re.fullmatch(wanted.replace("on\\ CPU", "on\\ (CPU|CUDA)"), printed, re.DOTALL))


@every_page
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    for part in parts(page):
        for block in part.blocks:
            where = f"{page}:{block.line}"
            assert block.language in (*RUN, *DATA), f"{where}: a block is one of {(*RUN, *DATA)}"
            if block.language == "text":
                assert not re.search(r"^(\$|onnx-n2n|pip|python|pytest|import|from) ", block.text, re.MULTILINE), where
            elif block.language == "json":
                json.loads(block.text)
            elif block.language == "toml":
                tomllib.loads(block.text)
            elif block.language == "console":
                assert block.text.startswith("$ "), where
            assert "not run" not in block.language, f"{where}: say why it is not run"


@every_page
def test_no_block_hides_from_these_tests(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert "```" not in text
    assert not re.search(r"(?:^|\n)\n    \S", text), "indent no code: put it into a fence"


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """Files exist, and so do the headings that are linked to."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if target.startswith("http"):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if "benchmarks/results" in name and not (ROOT / "benchmarks" / "results").exists():
            continue  # the source distribution has none
        assert file.exists(), target
        if heading:
            assert heading in headings(file), target


@every_page
def test_files_that_a_page_speaks_of_are_there(page: Path) -> None:
    named = set(re.findall(r"[\w./-]+/[\w.-]+\.py", page.read_text("utf-8")))
    places = (ROOT, ROOT / "onnx_n2n", page.parent)
    assert [name for name in sorted(named) if not any((place / name).exists() for place in places)] == []


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def test_the_readme_is_short() -> None:
    assert len(PAGES[0].read_text("utf-8").splitlines()) <= 150


def test_the_picture_is_what_its_script_draws() -> None:
    script = ROOT / "docs" / "pictures" / "group.py"
    made = subprocess.run([sys.executable, str(script)], capture_output=True, check=True).stdout.decode("utf-8")
    assert made == script.with_suffix(".svg").read_text("utf-8")


def test_the_gallery_is_what_its_script_draws() -> None:
    script = ROOT / "docs" / "pictures" / "gallery.py"
    drawn = runpy.run_path(str(script))
    made = {f"{name}.svg": drawn["picture"](name) for name in drawn["PASSES"]}
    assert made == {path.name: path.read_text("utf-8") for path in (script.parent / "gallery").iterdir()}
    assert set(drawn["PASSES"]) == {path.stem for path in (ROOT / "models").glob("*.onnx")}


def test_every_page_is_in_the_site_and_every_public_name_in_its_reference() -> None:
    listed = re.findall(r"^   (?:.* <)?([./\w-]+)>?$", (ROOT / "docs" / "index.rst").read_text("utf-8"), re.MULTILINE)
    pages = [f"../{path.stem}" for path in ROOT.glob("*.md")] + [path.stem for path in (ROOT / "docs").glob("*.md")]
    assert sorted(set(pages) - set(listed)) == []
    documented = re.findall(r"^\.\. auto\w+:: (\w+)$", (ROOT / "docs" / "api.rst").read_text("utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(onnx_n2n.__all__)
