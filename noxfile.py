"""One entry for all checks: ``nox -l`` lists them, ``nox -s lint types`` runs two. ``.ci/run`` runs all but benchmarks.

Each session has an environment of its own in ``.nox/``. With ``--no-venv`` what a session needs is installed where nox
runs, as ``.ci/run`` does. Words after ``--`` go to the tool: ``nox -s tests -- tests/rules -k Conv``.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import nox

ROOT = Path(__file__).parent
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
FROM_SDIST = [
    "tests/cli/test_cli.py", "tests/rules/test_notation.py", "tests/verification/test_verify.py",
    "tests/whole/test_golden.py", "tests/whole/test_library.py",
]  # fmt: skip
"""What runs from the unpacked source distribution; all of it is collected."""
QUIET = {"OLIVE_DISABLE_TELEMETRY": "1"}
"""What the tests of other tools want to be set."""
COMPARED = {
    "speed": "speed.py",
    "verifying": "verifying.py",
    "inception-deeper": "inception_deeper.py",
    "names": "names.py",
    "node-tests": "node_tests.py",
    "export-node-tests-torch": "export_node_tests.py --to torch",
    "export-node-tests-jax": "export_node_tests.py --to jax",
}
"""Benchmarks that need no data and write JSON, by what their results are called: ``benchmarks/compare.py`` reads these.

Results in Markdown are tables for people. Those of the export corpus and of export parameters need a folder of models.
"""

nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_external_run = True
nox.options.reuse_existing_virtualenvs = True


def install(session: nox.Session, *what: str) -> None:
    """Install into the session's environment, or where nox runs."""
    if session.virtualenv.is_sandboxed:
        session.install(*what)
    else:
        session.run("python", "-m", "pip", "install", "--quiet", *what)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff."""
    install(session, "ruff>=0.12")
    session.run("ruff", "check", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, on the package as it is installed: only there is passes/ a part of it."""
    install(session, ".[dev,gpu]")
    session.chdir(session.create_tmp())
    session.run("mypy", "--config-file", str(ROOT / "pyproject.toml"), *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests that need no framework."""
    install(session, "-e", ".[dev,gpu]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def frameworks(session: nox.Session) -> None:
    """Tests that need more than the package itself, of which none is skipped. Pages need chromium and chromedriver."""
    everything = "-e", ".[dev,frameworks,browser,benchmarks,toolchains,gpu]"
    install(session, "--constraint", str(CONSTRAINTS), *everything)
    # Without what it requires: that is another build of ONNX Runtime, which would overwrite this one.
    install(session, "--no-deps", "jax2onnx", "equinox", "jaxtyping", "wadler-lindig")
    files = [path for path in sorted(ROOT.glob("tests/**/test_*.py"))
             if re.search(r"needs\(|helpers\.browser", path.read_text("utf-8"))]  # fmt: skip
    session.run("pytest", "-n", "auto", *(session.posargs or map(str, files)), env=QUIET | {"N2N_CI": "1"})


@nox.session
def docs(session: nox.Session) -> None:
    """The site, in build/site; a warning is an error."""
    install(session, "-e", ".[docs]")
    session.run("sphinx-build", "-q", "-W", "--keep-going", "-c", "docs", *(session.posargs or (".", "build/site")))


@nox.session
def package(session: nox.Session) -> None:
    """The source distribution and the wheel: what an index would say, and that the tests run from the former."""
    if session.virtualenv.is_sandboxed:
        install(session, ".[dev,cpu]")
    place = Path(session.create_tmp()) / "dist"
    for older in place.glob("onnx_n2n-*.*"):
        older.unlink()
    session.run("python", "-m", "build", "--outdir", str(place), ".", silent=True)
    session.run("twine", "check", "--strict", *map(str, place.glob("onnx_n2n-*.*")))
    (sdist,) = place.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "unpacked", filter="data")
    session.chdir(place / "unpacked" / sdist.name.removesuffix(".tar.gz"))
    install(session, "--no-deps", "-e", ".")
    session.run("pytest", "--collect-only", "--quiet", silent=True)
    session.run("pytest", "-n", "auto", *(session.posargs or FROM_SDIST), env=QUIET)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Benchmarks, into build/benchmarks, beside the last results that were kept: ``-- speed verifying`` for two."""
    install(session, "-e", ".[benchmarks,jax,cpu]")
    made = ROOT / "build" / "benchmarks"
    made.mkdir(parents=True, exist_ok=True)
    for name in session.posargs or COMPARED:
        script, *options = COMPARED[name].split()
        session.run("python", f"benchmarks/{script}", *options, "--out", str(made / f"{name}.json"), silent=True)
        for kept in sorted(ROOT.glob(f"benchmarks/results/{name}-*.json"))[-1:]:
            session.run("python", "benchmarks/compare.py", str(kept), str(made / f"{name}.json"))
