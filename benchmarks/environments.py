"""What installing and uninstalling onnx-n2n does to environments that hold a build of ONNX Runtime already, or none.

    python benchmarks/environments.py [--only onnxruntime ...] [--out benchmarks/results/environments-DATE.md]

Each case is a fresh virtual environment: what the user has is installed first, then onnx-n2n without extras, which is
uninstalled again. The law is that nothing of the user's changes: every distribution that was there is there in the same
version, and ONNX Runtime offers the same providers and runs a model. Sizes are of further fresh environments with each
extra. A broken law makes the exit code 1.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS, MODEL = ROOT / ".ci" / "constraints.txt", ROOT / "models" / "resnet.onnx"
USERS = ("nothing", "onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "torch")
EXTRAS = ("", "[cpu]", "[gpu]")

RUNS = f"""
import json
try:
    import onnxruntime as ort
except ImportError:
    print("null")
else:
    providers = ort.get_available_providers()
    session = ort.InferenceSession({str(MODEL)!r}, providers=["CPUExecutionProvider"])
    print(json.dumps([ort.__version__, [name.removesuffix("ExecutionProvider") for name in providers]]))
"""

PAGE = """# Environments

{date}, `python benchmarks/environments.py`; onnx-n2n {version}; {machine}.

The user has something, then onnx-n2n without extras is installed, and uninstalled. Without a build of ONNX Runtime, `widen`
must end with exit code 3 and say what to install. *Unchanged*: of the distributions that were there, as many as the table
says, all are there in the same version after installing and after uninstalling, and ONNX Runtime runs a model as before.

| the user has | ONNX Runtime before | after installing | `pip check` | `widen --no-verify` | `widen` | after uninstalling | distributions | unchanged |
|---|---|---|---|---|---|---|---|---|
{cases}

Fresh environments, without what an empty one takes:

| installed | distributions | ONNX Runtime | size |
|---|---|---|---|
{sizes}
"""  # noqa: E501


@dataclass(frozen=True)
class State:
    """What an environment holds: versions by distribution, and ONNX Runtime's version and providers, if it runs."""

    installed: dict[str, str]
    runtime: list[object] | None

    def holds(self, before: State) -> bool:
        """Whether all is there that was there before, and works as it did."""
        return before.installed.items() <= self.installed.items() and before.runtime == self.runtime

    def __str__(self) -> str:
        """Version and providers."""
        return "none" if self.runtime is None else f"{self.runtime[0]}: {', '.join(self.runtime[1])}"  # type: ignore[arg-type]


class Environment:
    """A fresh virtual environment."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        self.folder, self.programs = folder, folder / ("Scripts" if os.name == "nt" else "bin")

    def call(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, and return what came of it."""
        command = [str(self.programs / program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)

    def pip(self, *arguments: object) -> str:
        """Run pip.

        Raises:
            RuntimeError: It fails.
        """
        done = self.call("python", "-m", "pip", *arguments, "--disable-pip-version-check")
        if done.returncode:
            raise RuntimeError(f"pip {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def state(self) -> State:
        """What it holds."""
        installed = {entry["name"]: entry["version"] for entry in json.loads(self.pip("list", "--format=json"))}
        done = self.call("python", "-c", RUNS)
        return State(installed, json.loads(done.stdout) if done.returncode == 0 else ["broken", []])

    def size(self) -> float:
        """Bytes on disk, in MB."""
        return sum(file.lstat().st_size for file in self.folder.rglob("*") if not file.is_dir()) / 1e6

    def widens(self, *options: str) -> str:
        """Say how widening a model ends."""
        done = self.call("onnx-n2n", "widen", MODEL, "-o", self.folder / "out.onnx", "--force", "--strict", *options)
        verified = re.search(r"^Verified: .*, on (\w+);", done.stderr, re.MULTILINE)
        return f"exit {done.returncode}" + (f", verified on {verified[1]}" if verified else "")


def case(user: str, wheel: Path, folder: Path) -> tuple[bool, str]:
    """Install what the user has, then onnx-n2n, and uninstall it; return whether the law holds, and a row."""
    environment = Environment(folder)
    if user != "nothing":
        environment.pip("install", "--quiet", "--constraint", CONSTRAINTS, user)
    before = environment.state()
    environment.pip("install", "--quiet", wheel)
    after, conflicts = environment.state(), environment.call("python", "-m", "pip", "check")
    plain, proven = environment.widens("--no-verify"), environment.widens()
    environment.pip("uninstall", "--quiet", "--yes", "onnx-n2n")
    left = environment.state()
    fine = after.holds(before) and left.holds(before) and conflicts.returncode == 0 and plain == "exit 0"
    fine = fine and proven.startswith("exit 3" if before.runtime is None else "exit 0, verified")
    check = "fine" if conflicts.returncode == 0 else conflicts.stdout.splitlines()[0]
    same = "yes" if after.holds(before) and left.holds(before) else "**no**"
    cells = [user, before, after, check, plain, proven, left, len(before.installed), same]
    return fine, f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    """Try all cases, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=USERS, default=USERS, help="what the user has")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        builder = Environment(folder / "builder")
        empty = builder.size()
        builder.pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
        wheel = next(folder.glob("*.whl"))
        fine, rows = zip(*(case(user, wheel, folder / user) for user in options.only), strict=True)
        sizes = []
        for extra in EXTRAS:
            environment = Environment(folder / f"fresh{extra.strip('[]')}")
            environment.pip("install", "--quiet", f"{wheel}{extra}")
            held, size = environment.state(), environment.size() - empty
            sizes.append(f"| onnx-n2n{extra} | {len(held.installed)} | {held} | {size:.0f} MB |")
        version = wheel.name.split("-")[1]
    machine = f"{os.cpu_count()} CPU cores, {platform.machine()}, Python {platform.python_version()}, no GPU"
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    text = PAGE.format(date=date, version=version, machine=machine, cases="\n".join(rows), sizes="\n".join(sizes))
    print(text)
    if options.out:
        options.out.write_text(text, "utf-8")
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
