"""The library has what the command line has: functions, loaded when they are used, that results and errors go with."""

from __future__ import annotations

import ast
import copy
import doctest
import importlib
import inspect
import os
import pickle
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import from_array
from safetensors.numpy import save_file

import onnx_n2n
import onnx_n2n.passes
from helpers.calling import MODELS
from helpers.commands import SECONDS, begin
from helpers.needing import needs
from onnx_n2n import words
from onnx_n2n.cli.commands import COMMANDS, loaded
from onnx_n2n.cli.keywords import KEYWORD, spoken
from onnx_n2n.errors import ExportError

ROOT = Path(__file__).parents[2]
PACKAGES = [Path(str(package.__file__)).parent for package in (onnx_n2n, onnx_n2n.passes)]
HEAVY = {
    "click", "google", "joblib", "ml_dtypes", "numpy", "onnx", "onnx_graphsurgeon", "onnx_ir", "onnxruntime", "rich",
    "safetensors", "scipy", "sympy", "tensorflow", "torch",
}  # fmt: skip
NAMED = {"inspect": "analyze", "log": "", "grow-checkpoint": "grow_checkpoint", "export": "export.write"}
FUNCTIONS = [name for name in onnx_n2n.__all__ if inspect.isfunction(getattr(onnx_n2n, name))]
LONG = 400  # characters of a repr


def python(*arguments: str, **options: Any) -> str:
    """What Python prints."""
    command = [sys.executable, *arguments]
    found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=2 * SECONDS, **options)
    return found.stdout.strip()


# --- names


@pytest.mark.parametrize("module", ["onnx_n2n", "onnx_n2n.__main__", "onnx_n2n.io.supervisor"])
def test_the_package_is_light(module: str) -> None:
    assert HEAVY & set(python("-c", f"import sys, {module}; print(*sys.modules)").split()) == set()


def test_what_the_readme_says_opens_after_a_plain_import() -> None:
    doors = ["export.load", "export.write", "explore", "passes.Widen", "record.load", "checkpoint.grow_tree", "clones"]
    assert python("-c", f"import onnx_n2n; print({', '.join(f'callable(onnx_n2n.{door})' for door in doors)})") == (
        " ".join(["True"] * len(doors))
    )


def test_every_command_is_a_function() -> None:
    for command in COMMANDS:
        found: Any = onnx_n2n
        for name in filter(None, NAMED.get(command, command).split(".")):
            found = getattr(found, name)
        assert callable(found) or not NAMED[command], command


ANY_MODEL = {"model", "teacher", "student"}  # open_model says what a model is
HOOKS = {"progress", "trace", "folder"}  # not of the command line
GIVEN = {"records": "r", "checkpoint": {}, "record": "r", "output": "o", "text": "widen", "budget": "params=2x",
         "path": "model.onnx", "passes": "widen"}  # fmt: skip


@pytest.mark.parametrize("name", [*FUNCTIONS, "export.to_torch", "export.to_jax", "export.write", "export.load"])
def test_an_argument_of_a_wrong_type_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in {"export.to_torch", "export.to_jax"}:
        needs(name.removeprefix("export.to_"))
    monkeypatch.chdir(tmp_path)
    onnx.save(small(), "model.onnx")
    function: Any = onnx_n2n
    for part in name.split("."):
        function = getattr(function, part)
    given = GIVEN | dict.fromkeys(ANY_MODEL, "model.onnx") | ({"to": "torch", "folder": "f"} if "write" in name else {})
    known = inspect.signature(function).parameters
    needed = {each: given[each] for each, known in known.items() if known.default is known.empty}
    needed |= {"outputs": {"size": 5}, "cut": {"softmax": True}, "run": {"passes": "widen"}}.get(name, {})
    for each in known.keys() - (HOOKS - needed.keys()):
        for wrong in (object(), [object()]):
            with pytest.raises(onnx_n2n.N2NError, match="model" if each in ANY_MODEL else rf"\b{each[:-1]}"):
                function(**needed | {each: wrong})
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_an_unknown_keyword_is_of_the_function() -> None:
    with pytest.raises(TypeError, match=r"^widen\(\) got an unexpected keyword argument 'fcator'"):
        onnx_n2n.widen("model.onnx", fcator=2)
    with pytest.raises(TypeError, match=r"^parse\(\) missing 1 required|missing a required argument: 'text'"):
        onnx_n2n.parse()


@pytest.mark.parametrize("name", ["\0", "x" * 300])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(onnx_n2n.OptionError, match="cannot be the name of a file"):
        onnx_n2n.save(small(), name)


def test_a_record_goes_to_a_path_of_any_kind(tmp_path: Path) -> None:
    record = onnx_n2n.widen(small(), 2, verify=False).growth
    for place in (str(tmp_path / "r"), tmp_path / "r"):
        record.save(place)
        assert onnx_n2n.record.load(place).to_bytes() == record.to_bytes()


def test_no_submodule_takes_the_name_of_a_function() -> None:
    for package in (onnx_n2n, onnx_n2n.passes):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__"):
                try:
                    importlib.import_module(info.name)
                except (ExportError, ImportError):
                    assert re.search(r"\.export\.|\.torch|\.toolchains\.", info.name), info.name
    for name in FUNCTIONS:
        assert inspect.isfunction(getattr(onnx_n2n, name)), name
    assert {"widen", "deepen", "diff", "enlarge", "outputs", "cut", "run", "explore", "analyze", "verify", "clones",
            "join", "load", "grow_checkpoint", "parse", "save"} == set(FUNCTIONS)  # fmt: skip


def test_all_names_are_there_and_no_others() -> None:
    assert set(onnx_n2n.__all__) <= set(dir(onnx_n2n))
    assert all(getattr(onnx_n2n, name) is not None for name in dir(onnx_n2n))
    with pytest.raises(AttributeError, match="no attribute 'wide'"):
        _ = onnx_n2n.wide
    for home, names in onnx_n2n._HOMES.items():  # a name that lies elsewhere than one reads would be a second thing
        for name in names:
            assert getattr(importlib.import_module(f"onnx_n2n.{home}"), name) is getattr(onnx_n2n, name)


def test_names_that_load_later_are_names_like_others() -> None:
    from onnx_n2n import Widen

    found: dict[str, Any] = {}
    exec("from onnx_n2n import *", found)
    assert set(onnx_n2n.__all__) <= found.keys()
    assert (Widen.__module__, found["Widen"]) == ("onnx_n2n.passes.widen", Widen)
    assert pickle.loads(pickle.dumps(Widen(factor=2))) == Widen(factor=2)
    assert python("-c", "import onnx_n2n; help(onnx_n2n)").startswith("Help on package onnx_n2n:")


THREADS = """
import sys, threading, onnx_n2n
sys.setswitchinterval(1e-6)
names = [name for name in dir(onnx_n2n) if not name.startswith("_")]
begin, loaded = threading.Barrier(8), []

def load(turn):
    begin.wait()
    for name in names[turn:] + names[:turn]:
        getattr(onnx_n2n, name)
    loaded.append(turn)

threads = [threading.Thread(target=load, args=(5 * turn,)) for turn in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(loaded))
"""


def test_threads_load_names_at_once() -> None:
    assert python("-c", THREADS) == "8"


def test_the_version_is_stated_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"]
    stated = [path for package in PACKAGES for path in package.rglob("*.py")
              if f'"{onnx_n2n.__version__}"' in path.read_text("utf-8")]  # fmt: skip
    assert [path.name for path in stated] == ["version.py"]


# --- a checkout that is not installed


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of both folders, as they lie in a checkout."""
    if not (ROOT / "passes").is_dir():
        pytest.skip("this is no checkout")
    for name in ("onnx_n2n", "passes"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


WHERE = "import onnx_n2n, onnx_n2n.passes.widen as w; print(onnx_n2n.__file__, w.__file__, onnx_n2n.Widen.__module__)"


@pytest.mark.parametrize("installed", [True, False])
def test_a_checkout_opens_from_its_root(checkout: Path, installed: bool) -> None:
    """Beside one that is installed, whose passes are not taken; and without, as -S reads no .pth of editable ones."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    site = f"import sys; sys.path[:0] = {[str(checkout), *packages]!r}; "
    found = python("-c", WHERE, cwd=checkout) if installed else python("-S", "-c", site + WHERE)
    expected = [checkout / "onnx_n2n" / "__init__.py", checkout / "passes" / "widen.py", "onnx_n2n.passes.widen"]
    assert found.split() == [str(each) for each in expected]


# --- interrupts


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
@pytest.mark.parametrize("module", ["filecmp", "onnx_ir", "click"])
def test_an_interrupt_while_modules_load_is_a_sentence(tmp_path: Path, module: str) -> None:
    """A module that says in a pipe that it is being imported, and then takes for ever: before the fork, and after."""
    receiver, sender = os.pipe()
    waits = f"import os, time\nos.write({sender}, b'x')\ntime.sleep(1000)\n"
    (tmp_path / f"{module}.py").write_text(waits, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    with begin(tmp_path, "inspect", "net.onnx", pass_fds=[sender], env=environment) as process:
        os.close(sender)
        assert os.read(receiver, 1) == b"x"
        (tmp_path / f"{module}.py").unlink()  # what says the error may need the real one
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    os.close(receiver)
    assert said.decode() == "Error: stopped; what was not finished has been cleared away.\n"
    assert process.returncode == 128 + signal.SIGINT


# --- examples


def small() -> onnx.ModelProto:
    """Two layers with the names that PyTorch gives them."""
    text = (
        '<ir_version: 8, opset_import: ["": 17]> g (float[N,4] x) => (float[N,3] y) {'
        " h = Gemm<transB = 1>(x, fc1.weight, fc1.bias) r = Relu(h) y = Gemm<transB = 1>(r, fc2.weight, fc2.bias) }"
    )
    found = onnx.parser.parse_model(text.replace("fc1.", "fc1_").replace("fc2.", "fc2_"))
    for node in found.graph.node:
        node.input[:] = [name.replace("_", ".") for name in node.input]
    found.graph.initializer.extend(from_array(array, name) for name, array in arrays().items())
    return found


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"fc1.weight": (8, 4), "fc1.bias": (8,), "fc2.weight": (3, 8), "fc2.bias": (3,)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def examples() -> Iterator[doctest.DocTest]:
    """The examples of all functions, by name; each function of the library has one."""
    finder, public = doctest.DocTestFinder(recurse=False), {name: getattr(onnx_n2n, name) for name in FUNCTIONS}
    public |= {f"export.{name}": getattr(onnx_n2n.export, name) for name in onnx_n2n.export.__all__}
    for name, function in public.items():
        yield from finder.find(function, name)


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_the_examples_in_docstrings(
    example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert example.examples, f"{example.name} has no example"
    for framework in ("torch", "jax", "keras"):
        if framework in example.docstring.partition(">>>")[2].partition("\n\n")[0]:
            pytest.importorskip(framework)
    monkeypatch.chdir(tmp_path)
    onnx.save(small(), "model.onnx")
    Path("models").symlink_to(MODELS)
    save_file(arrays(), "model.safetensors")
    example.globs = {"onnx_n2n": onnx_n2n, "np": np, "onnx": onnx}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=flags)
    assert runner.run(example, out=said.append).failed == 0, "".join(said)


# --- what results print


def results(folder: Path) -> Iterator[Any]:
    """What functions return for a large model."""
    path = folder / "resnet.onnx"
    shutil.copy(MODELS / "resnet.onnx", path)
    found = onnx_n2n.run(path, "widen{factor=1.3},deepen,widen{factor=1.2}", output=folder / "student.onnx")
    yield from (found, found.report, found.change, *found.change.growths, found.report.clones, found.report.verdict)
    yield from (found.growth, *found.growth.steps)
    yield from (onnx_n2n.analyze(path), onnx_n2n.clones(path), onnx_n2n.verify(path, found.model))
    students = onnx_n2n.explore(path, "params=1.5x", output=folder / "students", verify=False)
    yield from (students, *students, students.teacher)
    yield onnx_n2n.export.write(path, folder / "exported", to="safetensors")
    arrays = {entry.name: onnx.numpy_helper.to_array(entry) for entry in onnx.load(path).graph.initializer}
    own = {name: array for name, array in arrays.items() if name in found.growth.origins or array.ndim}
    yield onnx_n2n.grow_checkpoint(own, found.growth, student=found.model, teacher=path, verify=False, keep=["*"])


def test_every_result_prints_in_a_line_or_two_and_goes_to_other_processes(tmp_path: Path) -> None:
    for each in results(tmp_path):
        if not isinstance(each, onnx_n2n.Analysis):  # which has the model, whose weights are in its file
            assert repr(pickle.loads(pickle.dumps(each))) == repr(copy.deepcopy(each)) == repr(each)
        assert len(repr(each)) < LONG, repr(each)[:LONG]
        assert repr(each).count("\n") < 2
        assert " object at 0x" not in repr(each)


def test_what_is_made_when_it_is_asked_for_goes_along(tmp_path: Path) -> None:
    found = onnx_n2n.widen(small(), 1.5)
    again = pickle.loads(pickle.dumps(found))
    assert (again.model, again.report.clones) == (found.model, found.report.clones)
    assert again.growth.to_bytes() == found.growth.to_bytes()
    save_file(arrays(), tmp_path / "old.safetensors")
    grown = onnx_n2n.grow_checkpoint(tmp_path / "old.safetensors", found.growth, tmp_path / "new.safetensors")
    there = pickle.loads(pickle.dumps(grown)).arrays
    assert all(np.array_equal(there[name], array) for name, array in grown.arrays.items())
    assert there.keys() == grown.arrays.keys() == arrays().keys()


def test_long_texts_are_cut() -> None:
    assert words.brief("a\nb") == "a b"
    assert words.brief("x" * 500) == "x" * (words.LINE - 4) + " ..."
    assert words.count(1, "copy", "copies") == "1 copy"
    assert words.count(2000, "group") == "2,000 groups"


# --- what errors say

OPTION = re.compile(r"(^|[\s'\"(\[])(--[a-z][a-z-]+|-[op]\b)")
COMMAND_LINES = {"options.py", "leaving_out.py"}  # these write a command that one can type to see a bug again


def sentences(path: Path) -> Iterator[ast.Constant]:
    """All texts of a module but its docstrings, and what declares the options of commands."""
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    documented = [node.body[0] for node in ast.walk(tree) if isinstance(node, kinds) and node.body]
    others = {id(each.value) for each in documented if isinstance(each, ast.Expr)}
    flags = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "flags"]
    others |= {id(each) for flag in flags for each in ast.walk(flag)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in others:
            yield node


def below_the_command_line() -> list[Path]:
    """The modules of the library; ``testing`` speaks of the options of pytest."""
    found = [path for package in PACKAGES for path in package.rglob("*.py")]
    return [path for path in found if path.parent.name not in {"cli", "testing"} and path.name not in COMMAND_LINES]


def test_the_library_speaks_of_keywords_and_not_of_options() -> None:
    found = [
        f"{path.name}:{text.lineno}: {text.value!r}"
        for path in below_the_command_line()
        for text in sentences(path)
        if OPTION.search(text.value) and "pip install" not in text.value
    ]
    assert found == []


def test_every_keyword_in_a_sentence_is_an_option_of_a_command() -> None:
    options = {option for name in COMMANDS for each in loaded(name).params for option in
               (*each.opts, *each.secondary_opts)}  # fmt: skip
    found = 0
    for path in below_the_command_line():
        for text in sentences(path):
            for match in KEYWORD.finditer(text.value):
                found += 1
                assert spoken(match[0]).split()[0] in options, (path.name, text.lineno, match[0])
    assert found > 40


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("`force=True`", "--force"),
        ("`verify=False`", "--no-verify"),
        ("with `output=`.", "with -o."),
        ("`provider='cpu'`", "--provider cpu"),
        ("`noise=0`", "--noise 0"),
        ("`keep=['a b*', 'c']`", "--keep 'a b*' --keep c"),
        ("`shapes={'x': (1, 3), 'y:0': ()}`", "--input x:1,3 --input y:0:"),
        ("`names={'WEIGHT': 'PARAMETER'}`", "--name WEIGHT=PARAMETER"),
        ("`time_limit=`", "--time-limit"),
        ("`of=somebody else`", "`of=somebody else`"),
        ("factor=2 and 'force=True'", "factor=2 and 'force=True'"),
    ],
)
def test_the_command_line_says_what_to_type(said: str, typed: str) -> None:
    assert spoken(said) == typed
