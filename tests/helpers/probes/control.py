"""Control flow; tests/width/test_branches.py and tests/width/test_loops.py have more."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, case

CASES: dict[str, list[Case]] = {}

TRUE = np.array(True)
CASES["If"] = [
    case("z = If<then_branch=t () => (float[2,12,4,6] p) {p = Relu(h)}, "
         "else_branch=e () => (float[2,12,4,6] q) {q = Conv(h, w)}>(on)", 12, w=(12, 12, 1, 1), on=TRUE),
]  # fmt: skip
CASES["Loop"] = [
    case("z = Loop<body=b (int64 i, bool c, float[2,12,4,6] s) => (bool d, float[2,12,4,6] t) "
         "{d = Identity(c) k = Conv(s, w) t = Tanh(k)}>(n, on, h)", 12, w=(12, 12, 1, 1), n=2, on=TRUE),
]  # fmt: skip
CASES["Scan"] = [
    case("e, z = Scan<num_scan_inputs=1, body=b (float[12,4,6] s, float[12,4,6] a) => (float[12,4,6] t, "
         "float[12,4,6] o) {t = Add(s, a) o = Tanh(t)}>(start, h)", 12, start=np.zeros((12, 4, 6), np.float32)),
]  # fmt: skip
