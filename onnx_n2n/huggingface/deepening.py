"""Deeper models in folders: copies of layers that add zero, in the order in which the class counts its layers."""

from __future__ import annotations

from dataclasses import fields as fields_of
from dataclasses import replace
from os import PathLike

from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.huggingface.ends import Grown, Larger, Output, drafted, taught, verified, weights_of, write
from onnx_n2n.huggingface.layers import copies, deeper
from onnx_n2n.passes.deepen import Deepen
from onnx_n2n.verification.options import Proof

SAID = frozenset({"count", "every", "seed", "kind"})


def deepen(folder: str | PathLike[str], change: Deepen, output: Output) -> Grown:
    """Make a model in a Hugging Face folder deeper, and write it as a new folder.

    Args:
        folder: A folder as ``save_pretrained`` and the hub have it; nothing is written into it.
        change: How many layers to add to each stack of layers, or before every how-manieth a copy stands.
        output: The new folder.

    Raises:
        N2NError: Of any kind; nothing was written then.
    """
    usual = Deepen()
    other = [each.name for each in fields_of(Deepen) if getattr(change, each.name) != getattr(usual, each.name)]
    wrong = [name for name in other if name not in SAID]
    if wrong := wrong or ["kind"] * (change.kind not in {"auto", "block"}):
        raise OptionError(
            f"`{wrong[0]}=` does not go with a Hugging Face folder, whose class only has more layers of the same kind",
            hint="say how many with `count=`, or `every=`",
        )
    with taught(folder, output) as teacher:
        found = deeper(teacher.network, change.count, change.every, teacher.shown)
        output.progress("growing")
        old = weights_of(teacher.analysis.model)
        result = replace(change, kind="block", count=0, every=1)(teacher.analysis.model, proof=Proof(wanted=False))
        there = weights_of(result.model)
        zero = dict(copies(result.change.steps))
        weights = {}
        one = found.network.one
        for name, source in found.sources.items():
            before = teacher.network.one.get(source, source)
            taken = there.get(zero.get(before, before) if name in found.added else before, old.get(before))
            if taken is not None:
                weights[one.get(name, name)] = taken
        if not any(teacher.network.one.get(found.sources[name], "") in zero for name in found.added):
            raise GrowthError("no block of the model can stand before itself as a copy that adds zero")
        larger = Larger(found.network, weights, found.sources, result)
        with drafted(teacher, larger, output) as draft:
            student = verified(teacher, draft, larger, found.fields, output)
            return write(teacher, draft, student, result)
