"""Reading a growth record as it is written: a safetensors file, with a JSON document in its metadata.

Nothing in it is trusted. Whatever it says, it only suggests values that are then compared with what the student holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from onnx_n2n.errors import ModelError
from onnx_n2n.exact.files import File

FORMAT, VERSION, LINEAGE = "onnx-n2n.growth", "1", "onnx_n2n.lineage"
MOST = 1 << 30  # bytes of a record
HINT = "a growth record is the .safetensors file that `record=` has written when the student was made"
FILES = 256  # so many files beside a student are looked at

Form = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Record:
    """The steps from a teacher to a student, as the document has them, and the arrays that they name."""

    steps: Sequence[Mapping[str, Any]] = ()
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def array(self, name: str) -> np.ndarray:
        """Return an array.

        Raises:
            KeyError: If there is none of that name.
        """
        return self.arrays[name]


def read(path: Path | str) -> Record:
    """Read a record.

    Raises:
        ModelError: If the file is none.
    """
    path, named = Path(path), repr(str(path))
    try:
        if not path.exists():
            hint = f"it was looked for in {str(Path.cwd())!r}"
            raise ModelError(f"the growth record {named} does not exist", hint=hint)
        if not path.is_file():
            raise ModelError(f"{named} is no growth record: it is not a file")
        if (size := path.stat().st_size) > MOST:
            raise ModelError(f"{named} is no growth record: it has {size} bytes, and none has more than {MOST}")
    except OSError as error:
        raise ModelError(f"{named} cannot be read as a growth record: {error.strerror}") from error
    try:
        with safe_open(path, framework="numpy") as opened:
            steps = _steps(opened.metadata() or {})
            return Record(steps, {name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
    except Exception as error:
        raise ModelError(f"{named} cannot be read as a growth record: {error}", hint=HINT) from error


def beside(student: Path, file: File) -> Path | None:
    """Return the record of a student that lies in its folder: of the passes and parents that the student names itself.

    The metadata of a student list the passes that made it, each with the digest of the model that it was given.
    """
    own = _lineage(file)
    for path in sorted(student.parent.glob("*.safetensors"))[:FILES] if own else ():
        try:
            with safe_open(path, framework="numpy") as opened:
                steps = _steps(opened.metadata() or {})
        except Exception:  # other files lie there too
            continue
        if steps and [(step["pass"], step["seed"], step["parent"]) for step in steps] == own[-len(steps) :]:
            return path
    return None


def _steps(metadata: Mapping[str, str]) -> list[Mapping[str, Any]]:
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise ValueError("it is no growth record of this version")
    steps = json.loads(metadata["document"])["steps"]
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise ValueError("its steps are no list")
    return steps


def _lineage(file: File) -> list[tuple[Any, Any, Any]]:
    """Return the passes that made a model, without those that did nothing."""
    text = next((each.value for each in file.proto.metadata_props if each.key == LINEAGE), "[]")
    try:
        return [(each["pass"], each["seed"], each["parent"]) for each in json.loads(text) if not each.get("idle")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []
