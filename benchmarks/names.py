"""Which names come back from exports: twelve PyTorch architectures, each exported four ways.

    python benchmarks/names.py [--out benchmarks/results/names-DATE.json]

For every export: how many tensors of the network's state_dict a module made of the file has, bit-equal and under their
own names; how many a growth record of the file knows; and how many with the checkpoint that was exported. Counts of
batches are not counted.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx
import torch

import onnx_n2n
from onnx_n2n import export
from onnx_n2n.checkpoint.match_names import matched
from onnx_n2n.passes import Widen
from onnx_n2n.verification.options import Proof

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers.architectures import ARCHITECTURES
from helpers.exports import EXPORTS, exported, known, recovered, state, tensors


def measure(folder: Path, kind: str, way: str) -> dict[str, Any]:
    """Count what is found in one export."""
    made, teacher = ARCHITECTURES[kind], onnx_n2n.load(exported(folder, kind)[way])
    change = Widen(factor=made.factor, noise=0, exclude=made.exclude)
    record = change(teacher, proof=Proof(wanted=False)).growth
    return {
        "architecture": kind,
        "export": way,
        "tensors": len(tensors(kind)),
        "recovered": len(recovered(kind, export.to_torch(teacher))),
        "known": len(known(kind, record)),
        "known_with_teacher": len(known(kind, matched(record, state(kind), teacher=teacher))),
    }


def main() -> None:
    """Measure all exports, print a table, and write it to a file if one is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # of exporters, about operators that these networks do not have
    rows = []
    print(f"{'architecture':14}{'export':15}{'tensors':>9}{'recovered':>11}{'known':>7}{'with teacher':>14}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ARCHITECTURES:
            for way in EXPORTS:
                row = measure(Path(folder), kind, way)
                rows.append(row)
                counts = f"{row['tensors']:9}{row['recovered']:11}{row['known']:7}{row['known_with_teacher']:14}"
                print(f"{kind:14}{way:15}{counts}", flush=True)
    if options.out is not None:
        versions = {"python": platform.python_version(), "torch": torch.__version__, "onnx": onnx.__version__}
        head = json.dumps({"date": f"{datetime.date.today()}", "versions": versions}, indent=1).removesuffix("\n}")
        lines = ",\n  ".join(map(json.dumps, rows))
        options.out.write_text(f'{head},\n "exports": [\n  {lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()
