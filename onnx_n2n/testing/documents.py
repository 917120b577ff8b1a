"""Golden files: a JSON document for people, the numbers, and the model where it is kept."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n.errors import ModelError, N2NError, OptionError
from onnx_n2n.io import tensorfile
from onnx_n2n.io.atomic import drafting
from onnx_n2n.io.jsonable import finite
from onnx_n2n.io.sources import Source
from onnx_n2n.testing.places import shown
from onnx_n2n.verification.differences import is_real, laid_out
from onnx_n2n.verification.interfaces import declared, formed
from onnx_n2n.verification.recorded import Recording
from onnx_n2n.verification.trial import Trial
from onnx_n2n.verification.yardstick import Grain, Yardstick, recalled, ungranted

FORMAT = 1
NUMBERS, MODEL = ".safetensors", ".onnx"
LARGEST = 16 << 20  # bytes of numbers: golden files are kept with the code
FIRST = 4  # values of an output that people see

HALF = re.compile("[\\ud800-\\udfff]")  # of a character; no file takes it as it is
LIST = re.compile(r"(?<=\[)\n[^\[\]{}]*(?=\])")  # one without lists in it, which JSON writes on several lines

ANEW = "restore it with its files, or record it again with --update-golden"
ELSE = "restore it with its files; or remove these, and record it again with --update-golden"


@dataclass(frozen=True)
class Golden:
    """What is recorded for one check.

    Attributes:
        test: The test, as its module has it.
        name: What the check is called in it; empty if it is the only one.
        given: How many feeds were given; 0 where they were drawn.
        runtime: Version of the ONNX Runtime that ran the model.
        recording: What was recorded.
        model: The model, as a file of its own; None where it is too large to be kept.
    """

    test: str
    name: str
    given: int
    runtime: str
    recording: Recording
    model: bytes | None


def write(place: Path, golden: Golden) -> None:
    """Write a golden model, all of it or nothing. Only what is a golden file is replaced.

    Args:
        place: Its document; the other files go beside it.
        golden: What is recorded.

    Raises:
        OptionError: Something else is at a place, or nothing can be written there.
        N2NError: The numbers are too large, or of a type that cannot be written.
    """
    files = {_beside(place, NUMBERS): _numbers(golden.recording)}
    if golden.model is not None:
        files[_beside(place, MODEL)] = golden.model
    ours = _companions(place)
    for each in (place, *files) if ours is None else files:
        if each.exists() and each.name not in (ours or ()):
            raise OptionError(f"{shown(each)!r} exists already, and is no golden file", hint="move it away")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise OptionError(f"{shown(place.parent)!r} cannot be made: {failure.strerror}") from failure
    text = json.dumps(finite(_document(golden, files)), indent=1, ensure_ascii=False) + "\n"
    text = LIST.sub(lambda found: re.sub(r"\n *", " ", found[0]).strip(), text)
    text = HALF.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    with drafting(place, also=files, force=True) as draft:
        draft.write(text.encode())
        for each, data in files.items():
            draft.write(data, each)
        draft.publish()
    if golden.model is None and _beside(place, MODEL).name in (ours or ()):
        _beside(place, MODEL).unlink(missing_ok=True)


def read(place: Path) -> Golden:
    """Read a golden model.

    Raises:
        ModelError: It is damaged, or one of its files is gone or another.
    """
    document = _parsed(place)
    try:
        digests = {kind: document["files"].get(_beside(place, kind).name) for kind in (NUMBERS, MODEL)}
        data = {kind: _read(_beside(place, kind), digest) for kind, digest in digests.items() if digest is not None}
        test, name, given = str(document["test"]), str(document["name"]), int(document["given"])
        return Golden(
            test, name, given, str(document["onnxruntime"]), _recording(document, data[NUMBERS]), data.get(MODEL)
        )
    except N2NError:
        raise
    except Exception as failure:  # whatever protobuf, the IR and numpy raise of what is not as it was written
        raise ModelError(f"{shown(place)!r} is damaged: {failure!r}", hint=ANEW) from failure


def owner(place: Path) -> tuple[str, str]:
    """The test that a golden file belongs to, and the name of the check in it.

    Raises:
        ModelError: It is no golden file.
    """
    document = _parsed(place)
    return str(document.get("test")), str(document.get("name"))


def _parsed(place: Path) -> dict[str, Any]:
    source = Source.of(place, repr(shown(place)))
    try:
        found = tensorfile.parse(source.read().tobytes().decode())
    except ValueError as failure:
        raise ModelError(f"{shown(place)!r} is damaged: {failure}", hint=ELSE) from failure
    if not isinstance(found, dict) or found.get("onnx_golden") != FORMAT:
        reason = f"{shown(place)!r} is no golden file of a version that is known here"
        raise ModelError(reason, hint=f"update onnx-n2n, or {ELSE}")
    if not isinstance(found.get("files"), dict):
        raise ModelError(f"{shown(place)!r} is damaged: it names no files", hint=ELSE)
    return found


def _companions(place: Path) -> set[str] | None:
    """The names of the files of the golden model that is at a place; None where none is.

    Raises:
        ModelError: There is another file.
    """
    return set(_parsed(place)["files"]) if place.exists() else None


def _beside(place: Path, kind: str) -> Path:
    """Another file of the golden model that is at a place."""
    return place.with_name(place.name.removesuffix(".json") + kind)


def _read(place: Path, digest: str) -> bytes:
    data = Source.of(place, repr(shown(place))).read().tobytes()
    if hashlib.sha256(data).hexdigest() != digest:
        reason = f"{shown(place)!r} is not the file that was recorded: its SHA-256 is another"
        raise ModelError(reason, hint=ANEW)
    return data


def _document(golden: Golden, files: Mapping[Path, bytes]) -> dict[str, Any]:
    recording = golden.recording
    graph, columns = recording.interface.graph, zip(*recording.trial.truth, strict=True)
    return {
        "onnx_golden": FORMAT,
        "test": golden.test,
        "name": golden.name,
        "inputs": {value.name: declared(value) for value in graph.inputs},
        "outputs": {value.name: declared(value) for value in graph.outputs},
        "provider": recording.provider,
        "onnxruntime": golden.runtime,
        "feeds": recording.trial.origin,
        "given": golden.given,
        "grain": [recording.grain.epsilon, recording.grain.floor],
        "trains": sorted(map(list, recording.trains)),
        "random": list(recording.random),
        "recorded": {
            name: {
                "rounding_error": stick.rounding_error,
                "movement": stick.movement,
                "vacuous": stick.vacuous,
                "tolerance": stick.tolerance,
                "feeds": [_summary(value) for value in values],
            }
            for name, stick, values in zip(recording.trial.names, recording.sticks, columns, strict=True)
        },
        "files": {place.name: hashlib.sha256(data).hexdigest() for place, data in files.items()},
    }


def _summary(value: Any) -> dict[str, Any]:
    """What people see of an output: its form, and some numbers with six digits."""
    array = laid_out(value)
    found: dict[str, Any] = {"is": formed(value)}
    if array.size and (is_real(array) or array.dtype.kind in "iu"):
        numbers = array.astype(np.float64)
        with np.errstate(all="ignore"):
            found |= {"least": _short(numbers.min()), "mean": _short(numbers.mean()), "largest": _short(numbers.max())}
    first = array.reshape(-1)[:FIRST].tolist()
    return found | {"first": [_short(each) if isinstance(each, float) else str(each) for each in first]}


def _short(number: float) -> float:
    return float(f"{number:.6g}")


def _numbers(recording: Recording) -> bytes:
    """The file of all numbers.

    Raises:
        N2NError: It is too large, or has a type that the format does not have.
    """
    interface = ir.to_proto(recording.interface).SerializeToString()
    arrays: dict[str, np.ndarray] = {"interface": np.frombuffer(interface, np.uint8)}
    layout = {
        "feeds": [
            {name: _packed(array, f"{k}/inputs/{name}", arrays) for name, array in feed.items()}
            for k, feed in enumerate(recording.trial.feeds)
        ],
        "truth": [
            [
                _packed(value, f"{k}/outputs/{name}", arrays)
                for name, value in zip(recording.trial.names, values, strict=True)
            ]
            for k, values in enumerate(recording.trial.truth)
        ],
    }  # fmt: skip
    if (size := sum(array.nbytes for array in arrays.values())) > LARGEST:
        raise N2NError(
            f"inputs and outputs would take {size:,} bytes, and a golden model may have {LARGEST:,}",
            hint="give smaller inputs with `inputs=`, or smaller shapes with `shapes=`",
        )
    try:
        return tensorfile.to_bytes(arrays, {"layout": json.dumps(layout)})
    except ValueError as failure:
        raise N2NError(f"the outputs cannot be recorded: {failure}") from failure


def _packed(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """A value as JSON has it; arrays of numbers are put aside by name."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {"keys": list(value), "values": _packed(list(value.values()), name, arrays)}
    if isinstance(value, list | tuple):
        return [_packed(part, f"{name}/{k}", arrays) for k, part in enumerate(value)]
    array = np.asarray(value)
    if array.dtype.kind in "OUS":
        return {"texts": [str(text) for text in array.reshape(-1)], "shape": list(array.shape)}
    arrays[name] = array
    return {"numbers": name}


def _unpacked(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(tree, list):
        return [_unpacked(part, arrays) for part in tree]
    if not isinstance(tree, dict):
        return None
    if "keys" in tree:
        return dict(zip(tree["keys"], _unpacked(tree["values"], arrays), strict=True))
    if "texts" in tree:
        return np.array([*tree["texts"], None], object)[:-1].reshape(tree["shape"])
    return arrays[tree["numbers"]]


def _recording(document: Mapping[str, Any], numbers: bytes) -> Recording:
    arrays, metadata = tensorfile.from_bytes(numbers)
    layout = json.loads(metadata["layout"])
    feeds = tuple({name: _unpacked(tree, arrays) for name, tree in feed.items()} for feed in layout["feeds"])
    truth = tuple([_unpacked(tree, arrays) for tree in values] for values in layout["truth"])
    fine = Grain(*map(float, document["grain"]))
    trial = Trial(tuple(document["recorded"]), feeds, truth, str(document["feeds"]))
    columns = zip(document["recorded"].values(), zip(*truth, strict=True), strict=True)
    sticks = tuple(_stick(entry, values, fine) for entry, values in columns)
    interface = ir.from_proto(onnx.ModelProto.FromString(arrays["interface"].tobytes()))
    trains = frozenset((str(domain), str(kind)) for domain, kind in document["trains"])
    return Recording(interface, trial, sticks, fine, str(document["provider"]), trains, tuple(document["random"]))


def _stick(entry: Mapping[str, Any], truth: tuple[Any, ...], fine: Grain) -> Yardstick:
    rounding_error, movement = (
        None if entry[key] is None else float(entry[key]) for key in ("rounding_error", "movement")
    )
    vacuous = bool(entry["vacuous"])
    stick = recalled(truth, fine, rounding_error=rounding_error, movement=movement, is_vacuous=vacuous)
    for each in (stick, replace(ungranted(stick, fine), vacuous=vacuous)):
        if math.isclose(each.tolerance, float(entry["tolerance"]), rel_tol=1e-6):
            return each
    raise ValueError("a tolerance does not follow from what was measured")
