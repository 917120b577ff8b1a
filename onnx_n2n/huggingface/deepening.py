"""Deeper models in folders: copies of layers that add zero, in the order in which the class counts its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields as fields_of
from dataclasses import replace
from os import PathLike

from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.huggingface.differing import explained
from onnx_n2n.huggingface.grown import Grown, write
from onnx_n2n.huggingface.layers import Deeper, deeper
from onnx_n2n.huggingface.lineage import deepened, owned
from onnx_n2n.huggingface.output import Output
from onnx_n2n.huggingface.student import Larger, becoming, drafted, verified
from onnx_n2n.huggingface.teacher import Teacher, taught, weights_of
from onnx_n2n.passes.deepen import Deepen
from onnx_n2n.record.steps import COPY, New, Step
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
    with taught(folder, output, trust_remote_code=output.trust_remote_code) as teacher:
        found = deeper(teacher.network, change.count, change.every, teacher.shown)
        output.progress("growing")
        old = weights_of(teacher.analysis.model)
        result = replace(change, kind="block", count=0, every=1)(teacher.analysis.model, proof=Proof(wanted=False))
        there = weights_of(result.model)
        zero = _copies(result.change.steps)
        weights, made = {}, dict.fromkeys(found.added, COPY)
        one = found.network.one
        for name, source in found.sources.items():
            before = teacher.network.one.get(source, source)
            new = zero.get(before) if name in found.added else None
            taken = there.get(before if new is None else new.student, old.get(before))
            if taken is not None:
                weights[one.get(name, name)] = taken
            if new is not None:
                made[name] = new.made
        if not any(teacher.network.one.get(found.sources[name], "") in zero for name in found.added):
            raise GrowthError("no block of the model can stand before itself as a copy that adds zero")
        network, graph = becoming(teacher, found.fields, output)
        larger = Larger(network, weights, found.sources, result)
        with drafted(teacher, larger, output) as draft:
            with explained(lambda: _beside(teacher, found, zero)):
                student = verified(teacher, draft, larger, found.fields, graph, output)
            record = deepened(result.growth, str(change), teacher.network, found, made)
            record = owned(record, teacher.network.one)
            return write(teacher, draft, student, result, output, record)


def _beside(teacher: Teacher, found: Deeper, copies: Mapping[str, New]) -> Iterator[str]:
    """Yield a sentence on what is in a new layer beside copies of blocks, as norms behind the sums of BERT are."""
    sources = (teacher.network.one.get(found.sources[name], found.sources[name]) for name in found.added)
    beside = next((source for source in sources if source in teacher.shown and source not in copies), None)
    if beside is not None:
        yield f"a new layer is more than blocks that add zero: {beside!r} is in none of them"


def _copies(steps: Sequence[Step]) -> dict[str, New]:
    """Return the weights that copies of blocks have, by the weight that each is like.

    Raises:
        GrowthError: One weight would be two in a copy, and is one parameter of the class.
    """
    found: dict[str, New] = {}
    for new in (each for step in steps for each in step.new):
        if found.setdefault(new.like, new).made != new.made:
            raise GrowthError(f"{new.like!r} is used twice in a block, and zero in one of the uses of its copy")
    return found
