"""Read what ``torch.save`` wrote without running anything that is in it, and say what a file is that cannot be read."""

from __future__ import annotations

import argparse
import collections
import pathlib
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from onnx_n2n.errors import ModelError, N2NError
from onnx_n2n.io.sources import Source

SAVE = "save the tensors alone: torch.save(model.state_dict(), 'tensors.pt')"
CONVERT = "load it where it comes from, and save its tensors with safetensors or torch.save"
TREES = "onnx_n2n.checkpoint.pytrees grows the trees of JAX"
KERAS = "onnx_n2n.checkpoint.pytrees grows the weights of Keras models"
MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # in the first of the pickles in files of torch.save before its archives


class Foreign(NamedTuple):
    """A kind of file that is no checkpoint of PyTorch's."""

    start: re.Pattern[bytes]  # how it begins
    what: str
    hint: str


FOREIGN = (
    Foreign(re.compile(rb"version https://git-lfs"), "a pointer of Git LFS", "fetch the file: git lfs pull"),
    Foreign(re.compile(rb"\s*<(!DOCTYPE|html)", re.IGNORECASE), "a page of HTML", "download the file itself"),
    Foreign(re.compile(rb".{7}\0\{\s*\"", re.DOTALL), "a safetensors file", "call it NAME.safetensors"),
    Foreign(re.compile(rb"\x93NUMPY"), "an array of numpy", CONVERT),
    Foreign(re.compile(rb"GGUF"), "a GGUF file", "grow the checkpoint that it was made of, and convert that"),
    Foreign(re.compile(rb"\x89HDF\r\n"), "an HDF5 file, as Keras writes", KERAS),
    Foreign(re.compile(rb"(?s)([\x81-\x8f]|\xde..)[\xa0-\xdb]"), "a msgpack file, as Flax writes", TREES),
    Foreign(re.compile(rb"(?s).{257}ustar"), "a tar archive", CONVERT),
)  # fmt: skip
TORCHSCRIPT = "with PyTorch: torch.save(torch.jit.load(FILE).state_dict(), 'tensors.pt')"
PROGRAM = "with PyTorch: torch.save(torch.export.load(FILE).state_dict, 'tensors.pt')"
ARCHIVES = (  # how a name in a zip archive ends, what the archive is, and what to do
    ("/constants.pkl", "a TorchScript archive, which torch.jit.save wrote", TORCHSCRIPT),
    ("models/model.json", "a program of torch.export", PROGRAM),
    ("serialized_exported_program.json", "a program of torch.export", PROGRAM),
    ("model.weights.h5", "a model of Keras", KERAS),
    (".npy", "an archive of numpy", CONVERT),
)


def load(source: Source) -> Any:
    """Return what a file holds: tensors on the host, in dictionaries and lists.

    Besides tensors and plain values, numbers of numpy, paths and ``argparse.Namespace`` are read.

    Raises:
        ModelError: It is something else, is damaged, or holds objects of other classes.
        N2NError: PyTorch is not installed.
    """
    head = source.read(0, min(source.size, 512)).tobytes()
    if not head:
        raise ModelError(f"{source.name} cannot be read: it is empty")
    for kind in FOREIGN:
        if kind.start.match(head):
            raise ModelError(f"{source.name} is {kind.what}", hint=kind.hint)
    torch = installed()
    with torch.serialization.safe_globals(_harmless()), warnings.catch_warnings(action="ignore"):
        try:
            found = torch.load(source.path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as failure:
            raise _refused(torch, source, failure) from failure
        except Exception as failure:  # zip, pickle and torch each have their own
            raise _unread(source, head) from failure
    spaces = (each for each in _inside(found) if isinstance(each, argparse.Namespace))
    if any(torch.is_tensor(each) for space in spaces for each in _inside(space)):
        raise ModelError(
            f"{source.name} has tensors in an argparse.Namespace, where they are not looked for", hint=SAVE
        )
    return found


def installed() -> Any:
    """Return PyTorch.

    Raises:
        N2NError: It is not installed.
    """
    try:
        import torch
    except ImportError as failure:
        raise N2NError(
            "this checkpoint is PyTorch's, and PyTorch is not installed", hint="pip install 'onnx-n2n[torch]'"
        ) from failure
    return torch


def _harmless() -> list[Any]:
    """Return the classes that hold plain values only, under the names that pickles have for them."""
    scalar = np.float64(0).__reduce__()[0]
    dtypes = dict.fromkeys(type(np.dtype(kind)) for kind in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?")
    numbers = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    path = type(pathlib.Path())  # one of another system cannot be made, and would be written as something else
    paths = [(path, f"{module}.{path.__name__}") for module in ("pathlib", "pathlib._local")]
    return [argparse.Namespace, np.dtype, *dtypes, *numbers, *paths]


def _refused(torch: Any, source: Source, failure: Exception) -> ModelError:
    """Return the error for a pickle that holds more than is read."""
    try:
        found = set(torch.serialization.get_unsafe_globals_in_checkpoint(source.path))
    except Exception:  # it is no archive, but older
        found = set(re.findall(r"GLOBAL ([\w.]+)", str(failure)))
    seen = _seen(source)
    found -= {"numpy.dtype", "builtins.dict", "builtins.list"}  # what comes with others
    names = [name for name in seen.classes if name in found] or sorted(found)
    if not names:
        return _unread(source, source.read(0, min(source.size, 32)).tobytes())
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    if seen.module:
        place = "" if seen.whole else "[KEY]"
        what = f"a whole module ({names[0]})" if seen.whole else f"whole modules ({shown})"
        return ModelError(
            f"{source.name} holds {what}, not just tensors",
            hint=f"where its code is, and if you trust the file: net = torch.load(FILE, weights_only=False){place}, "
            "then torch.save(net.state_dict(), 'tensors.pt')",
        )
    return ModelError(
        f"{source.name} holds objects that are not read, since reading them can run anything: {shown}",
        hint="save numbers, texts, dictionaries and tensors only: "
        "torch.save({'model': model.state_dict(), 'optimizer': optimizer.state_dict()}, 'last.pt')",
    )


class _Seen(NamedTuple):
    """What a pickle names."""

    classes: tuple[str, ...]  # in their order
    module: bool  # whether there is a module of PyTorch somewhere
    whole: bool  # whether the whole is an object, not a dictionary or list


def _seen(source: Source) -> _Seen:
    """Look through a pickle without running it."""
    classes: dict[str, None] = {}
    module, whole, texts = False, None, ["", ""]
    try:
        for code, argument in _instructions(source):
            if code in {"GLOBAL", "STACK_GLOBAL"}:
                name = ".".join(texts) if argument is None else argument.replace(" ", ".")
                whole = not name.startswith("collections.") if whole is None else whole
                classes[name] = None
            elif code.startswith("EMPTY_"):
                whole = bool(whole)
            elif isinstance(argument, str):
                texts = [texts[1], argument]
                module = module or argument == "_parameters"
    except Exception:  # it is damaged: what was seen so far is told
        pass
    return _Seen(tuple(classes), module, bool(whole))


def _instructions(source: Source) -> Iterator[tuple[str, Any]]:
    """Yield the instructions of the pickle in an archive; or of the last of four that older files begin with."""
    if zipfile.is_zipfile(source.path):
        with zipfile.ZipFile(source.path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            with archive.open(name) as file:
                yield from ((code.name, argument) for code, argument, _ in pickletools.genops(file))
    else:
        with source.path.open("rb") as file:
            for _ in range(3):
                collections.deque(pickletools.genops(file), maxlen=0)
            yield from ((code.name, argument) for code, argument, _ in pickletools.genops(file))


def _unread(source: Source, head: bytes) -> ModelError:
    """Return the error for a file that is no checkpoint, or no longer a whole one."""
    if head.startswith(b"PK\3\4"):
        try:
            with zipfile.ZipFile(source.path) as archive:
                names = archive.namelist()
        except Exception:
            reason = f"{source.name} cannot be read: it is an archive whose list of contents, at its end, is missing"
            return ModelError(reason, hint="it was cut or damaged: copy or save it again")
        for ending, what, hint in ARCHIVES:
            if any(name.endswith(ending) for name in names):
                return ModelError(f"{source.name} is {what}", hint=hint)
    if head[:1] == b"\x80" and head[1:2] in {b"\2", b"\3", b"\4", b"\5"} and MAGIC not in head:
        return ModelError(f"{source.name} is a pickle that torch.save did not write", hint=CONVERT)
    return ModelError(f"{source.name} cannot be read: it is damaged, or torch.save did not write it")


def _inside(value: Any) -> Iterator[Any]:
    """Yield a value and all that is in it, however deep in dictionaries, lists and namespaces."""
    waiting, seen = [value], set()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            if isinstance(each, Mapping):
                waiting += each.values()
            elif isinstance(each, list | tuple | set):
                waiting += each
            elif isinstance(each, argparse.Namespace):
                waiting += vars(each).values()
