"""The build of ONNX Runtime that the user has installed, looked for when something must run.

All builds have the same module, so two in one environment overwrite each other's files, and removing one leaves the
module empty.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import re
import warnings
from collections.abc import Mapping
from typing import Any

from onnx_n2n.errors import EnvironmentWarning, N2NError

OLDEST = "1.23"  # the first that hands out tensors of types that numpy does not know, as bfloat16

TIME_LIMIT = 30.0  # seconds that one run of a model may take if nobody says otherwise
INSTALL = "run: pip install 'onnx-n2n[gpu]', or 'onnx-n2n[cpu]' for the smaller build without CUDA"


def builds() -> dict[str, str]:
    """The installed distributions that bring the module ``onnxruntime``, with their versions, by name."""
    names = sorted(set(importlib.metadata.packages_distributions().get("onnxruntime", [])))
    return {name: importlib.metadata.version(name) for name in names}


@functools.cache
def runtime() -> Any:
    """ONNX Runtime, imported on first use: importing this package stays light, and works without any build.

    Warns once when builds that overwrite each other's files are installed together.

    Raises:
        N2NError: No build is installed, or what is installed is too old or damaged.
    """
    found = builds()
    if len(found) == 1:  # before the import: old builds print much about numpy, and then fail
        _check_age(*next(iter(found.items())))
    try:
        import onnxruntime

        version = onnxruntime.__version__
        onnxruntime.InferenceSession  # noqa: B018 - an overwritten module imports, but has nothing in it
    except AttributeError:
        reason = "the module onnxruntime is empty: a build of ONNX Runtime was removed after another had overwritten it"
        raise N2NError(reason, hint=_mend(found)) from None
    except ImportError as failure:
        if not found:
            raise N2NError("this needs ONNX Runtime, and no build of it is installed", hint=INSTALL) from failure
        reason = (str(failure).strip() or type(failure).__name__).splitlines()[0].rstrip(".")
        raise N2NError(f"{_listed(found)} cannot be imported: {reason}", hint=_mend(found)) from failure
    _check_age("onnxruntime", version)
    if len(found) > 1:
        text = f"{_listed(found)} are installed together, and overwrite each other's files. Keep one. {_mend(found)}."
        warnings.warn(text, EnvironmentWarning, stacklevel=2)
    return onnxruntime


@functools.cache
def importable() -> bool:
    """Whether there is a module of ONNX Runtime, even one that is too old, or damaged: for :func:`runtime` to say."""
    try:
        importlib.import_module("onnxruntime")
    except ImportError:
        return False
    return True


def first_line(failure: BaseException) -> str:
    """The first line of an exception's text, without ONNX Runtime's own code and places in its source."""
    places = r"/\S+:\d+ (.* was false\. |.*(?=Failed to allocate)|.*?\) )"
    text = re.sub(rf"^\[ONNXRuntimeError\] : \d+ : \w+ : |{places}", "", str(failure).strip())
    return (text or type(failure).__name__).splitlines()[0].rstrip(". ")[:300]


def _check_age(name: str, version: str) -> None:
    if _release(version) < _release(OLDEST):
        reason = f"{name} {version} is too old: verification needs ONNX Runtime {OLDEST} or newer"
        raise N2NError(reason, hint=f"run: pip install --upgrade {name}")


def _release(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def _listed(found: Mapping[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in found.items())


def _mend(found: Mapping[str, str]) -> str:
    """How to get one whole build; of several the last by name, since plain ``onnxruntime`` is often a by-catch."""
    if not found:
        return INSTALL
    return f"Run: pip uninstall -y {' '.join(found)} && pip install {list(found)[-1]}"
