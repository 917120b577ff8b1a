"""Roles of groups: what channels are for, where the structure shows it.

Nothing here looks at names. Heads are what lies around the dimension over which two computed tensors are multiplied; a
stream is what several layers add to and what is normalised.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.analysis.facts import Walked, WeightUse
from onnx_n2n.axes.algebra import Axis, Factor, Product, leaves, parts_of, product, resolve, size
from onnx_n2n.graph.subgraphs import bodies_of, nodes_of
from onnx_n2n.rules.obligations import Ledger

RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
GROUPED = frozenset({"Conv", "ConvTranspose"})
PRODUCTS = frozenset({"MatMul", "Einsum", "Gemm", "FusedMatMul"})
SUMS = frozenset({"Add", "Sum", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"})


class Role(enum.StrEnum):
    """What the channels of a group are for."""

    HEADS = "heads"
    HEADS_PER_KV = "heads_per_kv"  # heads of queries that share a head of keys and values
    KV_HEADS = "kv_heads"
    HEAD_DIM = "head_dim"  # of queries, keys and values
    QK_DIM = "qk_dim"
    V_DIM = "v_dim"
    HIDDEN = "hidden"
    GROUPS = "groups"
    STREAM = "stream"


SIZES = frozenset({Role.HEAD_DIM, Role.QK_DIM, Role.V_DIM})
"""Sizes of heads."""


@dataclass(frozen=True, eq=False)
class Part:
    """The part that a factor plays.

    Attributes:
        role: Its role.
        heads: For the size of a head, the factors around it that count heads.
        layer: The layer that it is named after, if that is not the one that makes the channels.
    """

    role: Role
    heads: frozenset[Factor] = frozenset()
    layer: str = ""


def parts_in(
    free: Collection[Factor], graph: ir.Graph, weights: Sequence[WeightUse], walked: Walked, ledger: Ledger
) -> dict[Factor, Part]:
    """Return the parts of those factors that play one.

    Args:
        free: The factors that may grow.
        graph: The graph.
        weights: All its weights, in its order.
        walked: What is known of its tensors.
        ledger: What its nodes sum over and normalise.
    """
    computed = computed_in(graph, walked)
    parts: dict[Factor, Part] = {}
    for factor, part in itertools.chain(
        _attention(free, graph, weights, computed, walked, ledger),
        _hidden(weights),
        _groups(weights),
        _streams(graph, weights, computed, walked, ledger),
    ):
        parts.setdefault(factor, part)
    return parts


def _attention(
    free: Collection[Factor],
    graph: ir.Graph,
    weights: Sequence[WeightUse],
    computed: Collection[ir.Value],
    walked: Walked,
    ledger: Ledger,
) -> Iterator[tuple[Factor, Part]]:
    """Find the dimension of queries and keys, the heads around it, and the dimension of values within them."""
    around: dict[Factor, list[frozenset[Factor]]] = {}
    for weight in weights:
        if 0 < len(weight.made) < len(weight.axes):  # a projection: it reads one axis and makes another
            for factor, outer in _nested(product(*weight.made)):
                around.setdefault(factor, []).append(outer)
    scores = {
        contraction.node: {leaf for part, summed in contraction.summands[0].parts if summed for leaf in leaves(part)}
        for contraction in ledger.contractions
        if contraction.scale is not None or _multiplies(contraction.node, computed)
    }
    made = {node: _factors(node.outputs[0], walked) for node in nodes_of(graph) if _multiplies(node, computed)}
    made |= {node: _factors(node.outputs[0], walked) for node in scores}
    passed = frozenset().union(*(found - scores.get(node, set()) for node, found in made.items())) & set(free)
    roles: dict[Factor, Role] = {}
    within: dict[Factor, frozenset[Factor]] = {}  # the heads around the size of a head
    heads: frozenset[Factor] = frozenset()
    for node, summed in scores.items():
        outers = [(outer & made[node]) - summed for factor in summed for outer in around.get(factor, ())]
        outers = [outer for outer in outers if outer]
        here = frozenset[Factor]().union(*outers)
        shared = here.intersection(*outers)
        for factor in here:
            alike = shared in (frozenset(), here)
            roles.setdefault(factor, Role.HEADS if alike else Role.KV_HEADS if factor in shared else Role.HEADS_PER_KV)
        for factor in summed:
            roles.setdefault(factor, Role.HEAD_DIM if factor in passed else Role.QK_DIM)
            within[factor] = within.get(factor, frozenset()) | here
        heads |= here
    for factor in passed:
        if outer := heads & frozenset[Factor]().union(*around.get(factor, ())):
            roles.setdefault(factor, Role.V_DIM)
            within[factor] = within.get(factor, frozenset()) | outer
    for factor, role in roles.items():
        yield factor, Part(role, within.get(factor, frozenset()) if role in SIZES else frozenset())


def _nested(axis: Axis, above: frozenset[Factor] = frozenset()) -> Iterator[tuple[Factor, frozenset[Factor]]]:
    """Yield each factor of an axis, with those that lie around it."""
    axis = resolve(axis)
    if isinstance(axis, Factor):
        yield axis, above
        return
    for part in axis.parts:
        yield from _nested(part, above)
        if isinstance(axis, Product):
            above |= frozenset(leaves(part))


def computed_in(graph: ir.Graph, walked: Walked) -> set[ir.Value]:
    """Return the tensors that depend on an input of the graph; all others are weights, however they are made."""
    found = {value for value in graph.inputs if value not in walked.constants}
    for node in nodes_of(graph):
        bodies = list(bodies_of(node))
        found.update(value for body in bodies for value in body.inputs)
        if bodies or any(value in found for value in node.inputs):
            found.update(node.outputs)
    return found


def _multiplies(node: ir.Node, computed: Collection[ir.Value]) -> bool:
    """Say whether a node multiplies two computed tensors, as attention does for its scores and its values."""
    return node.op_type in PRODUCTS and sum(value in computed for value in node.inputs) > 1


def _factors(value: ir.Value | None, walked: Walked) -> frozenset[Factor]:
    axes = walked.known.get(value, ()) if value is not None else ()
    return frozenset(leaf for axis in axes for leaf in leaves(axis))


def _hidden(weights: Sequence[WeightUse]) -> Iterator[tuple[Factor, Part]]:
    """Find the hidden channels of recurrent layers: what the recurrent weight reads."""
    for weight in weights:
        if weight.node.op_type in RECURRENT and weight.slot == 2:
            read = weight.axes[2:3]  # none where the weight is no matrix for each direction
            yield from ((factor, Part(Role.HIDDEN, layer=weight.title)) for axis in read for factor in leaves(axis))


def _groups(weights: Sequence[WeightUse]) -> Iterator[tuple[Factor, Part]]:
    """Find the groups of grouped convolutions; where each has one channel, they are just channels."""
    for weight in weights:
        stated = weight.node.attributes.get("group")
        if weight.node.op_type in GROUPED and weight.slot == 1 and stated is not None:
            parts = parts_of(weight.axes[0])
            if len(parts) > 1 and size(parts[0]) == stated.value:
                yield from ((factor, Part(Role.GROUPS, layer=weight.title)) for factor in leaves(parts[0]))


def _streams(
    graph: ir.Graph,
    weights: Sequence[WeightUse],
    computed: Collection[ir.Value],
    walked: Walked,
    ledger: Ledger,
) -> Iterator[tuple[Factor, Part]]:
    """Find what several layers write to, what sums of computed tensors pass on, and what is normalised."""
    writers: dict[Factor, set[str]] = {}
    for weight in weights:
        for axis in weight.made:
            for factor in leaves(axis):
                writers.setdefault(factor, set()).add(weight.title)
    added: set[Factor] = set()
    for node in nodes_of(graph):
        if node.op_type in SUMS:
            operands = [_factors(value, walked) for value in node.inputs if value in computed]
            added.update(*(one & other for one, other in itertools.combinations(operands, 2)))
    for evenness in ledger.evenness:
        for factor in leaves(evenness.axis) if evenness.by is not None else ():
            if factor in added and len(writers.get(factor, ())) > 1:
                yield factor, Part(Role.STREAM)
