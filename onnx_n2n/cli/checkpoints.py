"""What is said of grown checkpoints and of growth records."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from onnx_n2n.checkpoint.growth import Grown
from onnx_n2n.cli.words import count, listed
from onnx_n2n.record.obstacles import Obstacle
from onnx_n2n.record.record import Record
from onnx_n2n.record.settings import Setting


def print_grown(console: Console, found: Grown) -> None:
    """Print what became of a checkpoint, and its proof, if there is one."""
    console.print(f"{count(len(found.grown), 'tensor')} grew, {len(found.kept)} stay as they were.")
    if found.copies:
        what = count(len(found.copies), "copy", "copies")
        console.print(f"{what} of the network grew too: {listed(found.copies)}.", soft_wrap=True)
    if found.optimizers:
        titles = listed([title or "the whole file" for title in found.optimizers])
        console.print(f"{count(len(found.optimizers), 'optimizer')} grew: {titles}.", soft_wrap=True)
    if found.outside:
        what = f"{count(len(found.outside), 'tensor')} outside the network"
        console.print(f"{what} cannot grow and stayed: {listed(found.outside)}.", soft_wrap=True)
    if found.left:
        console.print(f"Left as they were by --keep: {listed(found.left)}.", soft_wrap=True)
    for name, other in found.untied.items():
        console.print(f"{name} was tied to {other} and no longer is: the network must have both, and moments of both "
                      "start afresh.", soft_wrap=True)  # fmt: skip
    for name, other in found.aliases.items():
        console.print(f"{name} is {other} under another name, and grew as that did.", soft_wrap=True)
    if found.added:
        console.print(f"{count(len(found.added), 'tensor')} of new layers: {listed(found.added)}.", soft_wrap=True)
    if found.renamed:
        moves = [f"{old} -> {now}" for old, now in found.renamed.items()]
        console.print(f"{len(moves)} moved up: {listed(moves)}.", soft_wrap=True)
    if found.rounded:
        console.print(f"{count(len(found.rounded), 'tensor')} rounded, each number by up to "
                      f"{max(found.rounded.values()):.2%} of itself, as its type has no more digits: "
                      f"{listed(found.rounded)}.", soft_wrap=True)  # fmt: skip
    if found.copied:
        console.print(f"Copied as they are: {', '.join(found.copied)}.", soft_wrap=True)
    for name in found.stale:
        console.print(f"{name} still has the old sizes: set the new ones before you load the folder.", soft_wrap=True)
    if found.left_out:
        console.print(f"Left out, since it has not grown: {', '.join(found.left_out)}.", soft_wrap=True)
    for note in found.notes:
        console.print(f"Note: {note}.", soft_wrap=True)
    print_settings(console, found.record.settings)
    if found.moments is not None:
        moments = found.moments
        console.print(
            f"{count(moments.compared, 'moment')} pulled back through the growth of the weights: they differ from "
            f"those of before by {moments.error:.1e}.",
            soft_wrap=True,
        )
    if found.proof is not None:
        proof = found.proof
        console.print(
            f"Proven with the values of the {proof.values}: outputs differ by {proof.outputs:.1e}, gradients of "
            f"{count(proof.compared, 'weight')} from the mapped ones by {proof.gradients:.1e}.",
            soft_wrap=True,
        )


def print_settings(console: Console, found: Sequence[Setting]) -> None:
    """Print what a network's own code has to follow."""
    changes: dict[str, list[str]] = {}
    for each in found:
        changes.setdefault(str(each), []).append(each.node)
    if changes:
        console.print("The network's own code has to follow:")
    for said, nodes in changes.items():
        console.print(f"  {said} in {listed(nodes)}", soft_wrap=True)


def print_obstacles(console: Console, found: Sequence[Obstacle]) -> None:
    """Print what keeps checkpoints from following a student."""
    for each in found:
        can = "no checkpoint can follow this student" if each.final else "by this record alone no checkpoint can follow"
        console.print(f"Note: {can}: {each}.", soft_wrap=True)


def print_joined(console: Console, record: Record, found: Sequence[Obstacle]) -> None:
    """Print what a record is of."""
    console.print(f"{count(len(record.steps), 'pass', 'passes')}: {', '.join(step.text for step in record.steps)}.")
    console.print(f"From model {record.teacher[:12]} to {record.student[:12]}.")
    print_settings(console, record.settings)
    print_obstacles(console, found)
