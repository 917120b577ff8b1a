"""Net2Deeper as in the paper's Inception experiment, on the golden Inception: two more pairs of rectangular layers.

    python benchmarks/inception_deeper.py [--out benchmarks/results/inception-deeper-DATE.json]

Wherever a 1xn convolution stands before an nx1 one, two more such pairs are put behind them, each layer with its own
BatchNormalization. Statistics come from the eight recorded images, in two batches of four; the drift of each new norm
is what it changes in one of these batches when it trains, over the batch's own deviation.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n.analysis.walk import analyze
from onnx_n2n.depth.places import Place, places
from onnx_n2n.passes import Deepen, Sequential
from onnx_n2n.verification.options import Proof

MODEL = Path(__file__).parent.parent / "models" / "inception_bn.onnx"


def pairs(model: ir.Model) -> list[tuple[Place, int]]:
    """Return the places behind pairs of a 1xn and an nx1 convolution, with n."""
    analysis = analyze(model)
    kernels = {place.value: place.near.kernel(analysis) for place in places(analysis).found if place.near is not None}
    found = []
    for place in places(analysis).found:
        if place.near is None or place.kind != "identity":
            continue
        high, wide = place.near.kernel(analysis)
        before = kernels.get(place.near.maker.inputs[0])
        if wide == 1 < high and before == (1, high):
            found.append((place, high))
    return found


def main() -> None:
    """Deepen, verify, and print errors and drifts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images = np.load(MODEL.with_suffix(".npz"))["inputs/image"]
    feeds = [{"image": images[:4]}, {"image": images[4:]}]
    steps = [
        Deepen(kind="identity", after=(str(place.value.name),), kernel=(f"1x{n}", f"{n}x1") * 2)
        for place, n in pairs(ir.load(MODEL))
    ]
    result = Sequential(*steps)(onnx.load(MODEL), proof=Proof(inputs=feeds), strict=True)
    verdict = result.report.verdict
    table = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "device": f"{platform.machine()}, CPU",
        "python": platform.python_version(),
        "pairs": len(steps),
        "layers added": sum(len(step.kernel) for step in steps),
        "parameters": [result.report.parameters_before, result.report.parameters_after],
        "error": verdict.error if verdict is not None else None,
        "noise": verdict.rounding_error if verdict is not None else None,
        "added": [{"place": a.place, "what": a.what, "drift": a.drift} for a in result.report.change.added],
    }
    text = json.dumps(table, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
