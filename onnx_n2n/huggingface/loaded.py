"""Both models as from_pretrained loads them, run in PyTorch: what whoever uses the folders gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import ModelError, VerificationError
from onnx_n2n.huggingface.network import Network, libraries, quiet
from onnx_n2n.huggingface.tracing import LENGTH, examples, outputs_of
from onnx_n2n.verification.compare import compare
from onnx_n2n.verification.draw import Drawn, wanted
from onnx_n2n.verification.verdict import Verdict
from onnx_n2n.verification.yardstick import GRAINS, yardstick
from onnx_n2n.words import brief

FEEDS, BATCH = 3, 3
LENGTHS = (64, 16, LENGTH)  # of text, longer than what is traced if the class takes that
PRECISE = {"bfloat16": "float32", "float16": "float32", "float32": "float64"}  # tells the rounding error of a type
GRAIN = {"bfloat16": ir.DataType.BFLOAT16, "float16": ir.DataType.FLOAT16, "float32": ir.DataType.FLOAT}
LISTS = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")

Feed = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Ran:
    """What a model said.

    Attributes:
        dtype: The type that it computes in.
        answers: Its outputs for each feed, by name, in double precision.
        strange: What is not as its class wants it in the folder, if anything.
    """

    dtype: str
    answers: Sequence[Mapping[str, np.ndarray]]
    strange: str


def loaded_alike(old: Path, new: Path, network: Network, model: ir.Model) -> Verdict:
    """Load two folders of a class, run both on the same inputs, one after the other, and compare what they say.

    Both compute in the type of their weights. The old one also does in a more precise one, which says how large its own
    rounding error is: in float32 for weights in bfloat16.

    Args:
        old: The folder of the teacher.
        new: That of the student.
        network: The class of the teacher.
        model: Its graph, which tells what its inputs may be.

    Raises:
        ModelError: The old folder cannot be loaded or run.
        VerificationError: The new one cannot be, or its class does not find there what it needs.
    """
    plans = [Drawn(wanted(model, examples(network.module, BATCH, length)[0]), {}, 0) for length in LENGTHS]
    for plan in plans:
        feeds = [plan.feed(turn) for turn in range(FEEDS)]
        try:
            truth = _run(old, network, feeds)
            break
        except Exception as failure:  # of a class that we do not know, as of one with fewer positions
            if plan is plans[-1]:
                raise ModelError(f"PyTorch cannot run {str(old)!r}: {_said(failure)}") from failure
    precise = None
    with suppress(Exception):  # as of a class that computes in one type only
        precise = _run(old, network, feeds, PRECISE[truth.dtype])
    try:
        found = _run(new, network, feeds)
    except Exception as failure:
        raise VerificationError(f"PyTorch cannot run the new model: {_said(failure)}") from failure
    if found.strange or found.dtype != truth.dtype:
        why = found.strange or f"it computes in {found.dtype}, not in {truth.dtype}"
        raise VerificationError(f"from_pretrained does not load the new model as it is: {why}")
    outputs = []
    for name in truth.answers[0]:
        before, exact, after = ([each[name] for each in ran.answers] if ran else [] for ran in (truth, precise, found))
        outputs.append(compare(name, yardstick(before, GRAINS[GRAIN[truth.dtype]], nudged=exact), after))
    own = [output.rounding_error for output in outputs if output.rounding_error is not None]
    return Verdict(
        ok=all(output.ok for output in outputs),
        provider=f"PyTorch in {truth.dtype}",
        error=max(output.error for output in outputs),
        rounding_error=max(own, default=None),
        outputs=tuple(outputs),
        vacuous=tuple(output.name for output in outputs if output.vacuous),
        inputs=f"drawn ({FEEDS} feeds): {plan.described()}",
        first_wrong=None,
    )


def _run(folder: Path, network: Network, feeds: Sequence[Feed], dtype: str = "auto") -> _Ran:
    """Load a folder and run what it holds."""
    torch, _ = libraries()
    with quiet():
        net, info = network.kind.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True, local_files_only=True
        )
        answers = []
        for feed in feeds:
            given = {name: torch.from_numpy(array) for name, array in feed.items()}
            given = {name: each.to(net.dtype) if each.is_floating_point() else each for name, each in given.items()}
            with torch.inference_mode():
                said = outputs_of(net.eval()(**given, return_dict=True))
            answers.append({name: value.double().numpy() for name, value in said.items()})
    strange = next((f"{name} {brief(repr(info[name]))}" for name in LISTS if info.get(name)), "")
    return _Ran(str(net.dtype).removeprefix("torch."), answers, strange)


def _said(failure: Exception) -> str:
    return brief(str(failure), 300) or type(failure).__name__
