"""From a checkpoint to a larger one by the product: export, grow and verify, apply the record, load strictly.

Random pad and Dirichlet shares, which the product does not have, are made from its record.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import onnx_n2n
from net2net.data import Dataset
from net2net.experiments import Init
from net2net.nets import GPTSpec, InceptionSpec, Spec
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import apply, grow
from onnx_n2n.costs.cost import multiply_adds
from onnx_n2n.passes import Deepen, Outputs, Pass, Sequential, Widen
from onnx_n2n.passes.driver import Target
from onnx_n2n.record.record import Record, Remade
from onnx_n2n.record.record import load as load_record
from onnx_n2n.verification.options import Proof

INPUT, OUTPUT = "x", "y"
HEADS = ("*qk_dim", "*v_dim")  # a GPT grows by heads, and these stay as long as they are
logging.getLogger("torch.onnx").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Grown:
    """A growth that is done: files in a folder, and what there is to say of it.

    Attributes:
        folder: It has ``teacher.onnx``, ``student.onnx``, ``growth.safetensors`` and ``facts.json``.
        facts: ``passes``, ``error`` and ``noise`` of the verification, ``parameters`` and ``multiply_adds`` (of one
            example, forwards) of teacher and student, ``epsilon`` of the student's norms.
    """

    folder: Path
    facts: Mapping[str, Any]

    @property
    def record(self) -> Record:
        """What became of every weight."""
        return load_record(self.folder / "growth.safetensors")

    def models(self) -> dict[str, Any]:
        """What the record alone does not know: names that the export lost, by value, and the values of new layers."""
        return {role: onnx_n2n.load(self.folder / f"{role}.onnx") for role in ("teacher", "student")}

    @property
    def epsilon(self) -> float | None:
        """Of the student's norms, where that had to follow."""
        return self.facts["epsilon"]


def fitted(spec: Spec, data: Dataset) -> Spec:
    """Return a network that fits the data."""
    if isinstance(spec, GPTSpec):
        return replace(spec, vocabulary=data.outputs, context=data.context)
    return replace(spec, classes=data.outputs, colours=data.train.inputs.shape[1])


def export(net: nn.Module, data: Dataset, path: Path) -> None:
    """Export a network as docs/end-to-end.md has it: with norms kept where the optimiser would fold them.

    A GPT has none of these, and is to be optimised: depth is not seen where weights of linear layers are transposed.
    """
    example = next(data.evaluation(data.validation, 2))[0]
    training = net.training
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net.train(), (example,), dynamo=True, optimize=data.kind == "language", verbose=False,
            input_names=[INPUT], output_names=[OUTPUT], dynamic_shapes=({0: torch.export.Dim("batch")},),
        )  # fmt: skip
    net.train(training)
    assert program is not None
    program.save(str(path))


def cost(model: Path, data: Dataset) -> int:
    """Return the multiply-adds of one example forwards; three times that is what training on it takes."""
    example = next(data.evaluation(data.validation, 1))[0]
    found = multiply_adds(onnx_n2n.load(model), {INPUT: tuple(example.shape)})
    assert not found.uncounted, found.uncounted
    return found.total


def passes(teacher: Spec, student: Spec, init: Init, calibrate: Path, seed: int) -> Sequential:
    """Return the product's passes that make the sizes of one network into those of another."""
    options: dict[str, Any] = {"init": init.init, "noise": init.noise, "seed": seed}
    found: list[Pass] = []
    if isinstance(teacher, GPTSpec) and isinstance(student, GPTSpec):
        if student.width != teacher.width:
            found.append(Widen(factor=student.width / teacher.width, exclude=HEADS, **options))
        elif student.inner != teacher.inner:  # the stream stays
            found.append(Widen(factor=student.heads / teacher.heads, include=("*.heads",), **options))
            stays = ("stream", "*.heads", *HEADS)
            found.append(Widen(factor=student.inner / teacher.inner, exclude=stays, **options))
        if student.layers != teacher.layers:
            found.append(Deepen(kind="block", count=student.layers - teacher.layers, seed=seed))
        return Sequential(*found)
    assert isinstance(teacher, InceptionSpec)
    assert isinstance(student, InceptionSpec)
    if student.classes != teacher.classes:
        found.append(Outputs(student.classes))
    before, after = teacher.targets(), student.targets()
    sizes = {name: after[name] for name in before if after[name] != before[name]}
    if sizes:
        found.append(Widen(groups=sizes, factor=1, **options))
    for number, module in enumerate(each for stage in student.stages for each in stage):
        if kernel := (f"1x{module.length}", f"{module.length}x1") * (student.pairs - teacher.pairs):
            behind = (f"modules_.{number}.high",)
            found.append(Deepen(kind="identity", after=behind, kernel=kernel, calibrate=str(calibrate), seed=seed))
    return Sequential(*found)


def grow_model(
    folder: Path, net: nn.Module, teacher: Spec, student: Spec, init: Init, data: Dataset, seed: int
) -> Grown:
    """Export a network, grow it to the sizes of another and have that verified; what is there is not done again."""
    facts = folder / "facts.json"
    if facts.is_file():
        return Grown(folder, json.loads(facts.read_text("utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    export(net, data, folder / "teacher.onnx")
    real = next(data.evaluation(data.train, 256))[0].numpy()
    np.savez(folder / "calibrate.npz", **{INPUT: real})
    change = passes(teacher, student, init, folder / "calibrate.npz", seed)
    result = change(
        folder / "teacher.onnx",
        proof=Proof(inputs=[{INPUT: real[:8]}, {INPUT: real[8:16]}]),
        output=Target(folder / "student.onnx", force=True, record=folder / "growth.safetensors"),
        strict=True,
    )
    verdict = result.report.verdict
    assert verdict is not None
    said = [str(replace(each, calibrate="real") if isinstance(each, Deepen) and each.calibrate else each)
            for each in change.passes]  # fmt: skip
    found = {
        "passes": ",".join(said),
        "error": float(verdict.error),
        "noise": verdict.rounding_error,
        "parameters": [result.report.parameters_before, result.report.parameters_after],
        "multiply_adds": [cost(folder / f"{role}.onnx", data) for role in ("teacher", "student")],
        "epsilon": _epsilon(result.growth, teacher),
    }
    facts.write_text(json.dumps(found, indent=1), "utf-8")
    return Grown(folder, found)


def _epsilon(record: Record, teacher: Spec) -> float | None:
    """Return what the record says the norms of a GPT have to add to a variance."""
    if not isinstance(teacher, GPTSpec):
        return None
    pairs = [pair for step in record.steps for pair in step.settings.values() if pair[0] is not None]
    found = {after for before, after in pairs if np.isclose(before, teacher.epsilon, rtol=1e-6, atol=0)}
    assert len(found) < 2
    return found.pop() if found else teacher.epsilon


# --- checkpoints


def grow_checkpoint(grown: Grown, source: Path, init: Init, *, optimizer: bool, seed: int) -> dict[str, Any]:
    """Apply a growth to the checkpoint in a file; return what is in the new one."""
    record = grown.record
    if init.shares == "dirichlet":
        record = dirichlet(record, seed)
    with tempfile.TemporaryDirectory(dir=grown.folder) as name:  # several arms may grow at once
        target = Path(name) / "grown.pt"
        keep = () if optimizer else ("optimizer",)
        grow_file(record, source, target, optimizer=optimizer, keep=keep, **grown.models())
        found: dict[str, Any] = torch.load(target, weights_only=True)
    return found


@dataclass(frozen=True)
class Places:
    """Which places of a student's parameters are the teacher's.

    Attributes:
        before: The teacher's parameters, by the names that they have in the student.
        numbers: For each of them, int64 of the student's shape: the place of the teacher's, counted from 1; 0 for new.
        like: For each parameter of a new layer the one that it is like.
    """

    before: Mapping[str, np.ndarray]
    numbers: Mapping[str, np.ndarray]
    like: Mapping[str, str]

    def new(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return for each parameter of the student which places are new: bool, of its shape."""
        return {
            name: torch.from_numpy(self.numbers[name] == 0).to(each.device) if name in self.numbers
            else torch.ones_like(each, dtype=torch.bool)
            for name, each in parameters.items()
        }  # fmt: skip


def places(grown: Grown, teacher: Mapping[str, Tensor]) -> Places:
    """Return which places are the teacher's: the record is applied to the numbers of places instead of values.

    The first place that stands for an old one is that one, all others are new.
    """
    arrays = {name: tensor.numpy() for name, tensor in teacher.items()}
    found = grow(grown.record, arrays, **grown.models())
    numbers = {name: np.arange(1, array.size + 1).reshape(array.shape) for name, array in arrays.items()}
    marked = apply(found.record, numbers, _mark).arrays
    now = {name: found.renamed.get(name, name) for name in arrays}
    like = {name: now.get(other, other) for name, other in found.added.items()}
    return Places(
        {now[name]: array for name, array in arrays.items()}, {now[name]: array for name, array in marked.items()}, like
    )


def padded(grown: Grown, teacher: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return fresh parameters with the teacher's in the places that were theirs, unscaled."""
    found = places(grown, teacher)
    state = {}
    for name, tensor in fresh.items():
        if name not in found.numbers or tensor.ndim == 0:
            state[name] = tensor
            continue
        number = found.numbers[name]
        values = torch.from_numpy(found.before[name].reshape(-1)[np.maximum(number, 1).reshape(-1) - 1])
        state[name] = torch.where(torch.from_numpy(number > 0), values.view(tensor.shape), tensor)
    return state


def _mark(remade: Remade, array: np.ndarray) -> np.ndarray:
    """Grow the numbers of places, with 0 for places that are new along any axis."""
    for axis, index in enumerate(remade.recipe.index):
        if index is None:
            continue
        first = np.zeros(len(index), bool)
        first[np.unique(index, return_index=True)[1]] = True
        known = first & (index < array.shape[axis])
        array = np.take(array, np.minimum(index, array.shape[axis] - 1), axis=axis)
        array = array * known.reshape(-1, *[1] * (array.ndim - axis - 1))
    return array


def dirichlet(record: Record, seed: int) -> Record:
    """Return a record whose copies share outgoing weights by Dirichlet draws, without noise."""
    chance = np.random.default_rng(seed)

    def drawn(remade: Remade) -> Remade:
        summed = []
        for part in remade.recipe.summed:
            share = np.array(part.share, np.float64)
            for key in np.unique(part.key):
                copies = np.flatnonzero(part.key == key)
                share[copies] = chance.dirichlet(np.ones(len(copies))) * share[copies].sum()
            summed.append(replace(part, share=share))
        return replace(remade, recipe=replace(remade.recipe, summed=tuple(summed), noise=0.0))

    steps = tuple(replace(step, remade=tuple(map(drawn, step.remade))) for step in record.steps)
    return replace(record, steps=steps)
