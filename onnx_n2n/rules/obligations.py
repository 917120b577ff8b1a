"""What a rewrite owes to a node when axes grow: values that analysis writes down and the rewriter reads.

Each rule leaves obligations behind while it walks over a node; none of them depends on how much anything grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.axes.algebra import EMPTY, Axis, Reason


@dataclass(frozen=True)
class Summand:
    """An operand of a contraction: input ``slot``, whose axis ``position`` is the product of ``parts``.

    Attributes:
        slot: The input slot.
        position: The axis of the operand.
        parts: Pairs of an axis and whether the contraction sums over it.
        before: What lies before these on the same axis, and is not summed over.
        after: What lies after them.
        along: Operands that add to this one, and must be scaled with it.
    """

    slot: int
    position: int
    parts: tuple[tuple[Axis, bool], ...]
    before: Axis = EMPTY
    after: Axis = EMPTY
    along: tuple[Summand, ...] = ()


@dataclass(frozen=True)
class Contraction:
    """A sum over an axis: the shares of its copies must be put on exactly one operand.

    Attributes:
        node: The node that sums.
        summands: The operands, each of which could carry the shares.
        power: The power of a share that an operand must be multiplied by: 1/2 under a sum of squares. None stands for a
            product of operands, which is linear in each, so that a weight may carry shares and noise itself.
        scale: The attribute that the sum is multiplied by, if there is one.
        whole: Whether whole numbers are summed, so that nothing can be multiplied: the summands are constants, and are
            divided among copies.
    """

    node: ir.Node
    summands: tuple[Summand, ...]
    power: float | None = None
    scale: str | None = None
    whole: bool = False


@dataclass(frozen=True)
class Literal:
    """A number in the model that says the length of ``axis`` (from the end when ``negative``).

    ``place`` is the input slot or the attribute it stands in, ``position`` its element there (None for a scalar).
    """

    node: ir.Node
    place: int | str
    position: int | None
    axis: Axis
    negative: bool = False


@dataclass(frozen=True)
class Default:
    """An attribute that, when it is missing, follows the length of ``axis``: it is then written out with its value."""

    node: ir.Node
    attribute: str
    value: float
    axis: Axis


@dataclass(frozen=True)
class Picks:
    """The constant indices of a Gather over ``axis``, as runs that lie between cuts of the axis.

    Each run is a pair (what lies before it, what it covers). With ``shuffled`` the indices instead read the axis, which
    is the product of the two given axes, with the inner one outermost. Indices may be negative in the teacher, so that
    they follow all of the axis.
    """

    node: ir.Node
    slot: int
    axis: Axis
    runs: tuple[tuple[Axis, Axis], ...]
    shuffled: tuple[Axis, Axis] | None = None


@dataclass(frozen=True)
class Norm:
    """A normalisation: ``(x - mean) / sqrt(mean of squares + epsilon) * gain + bias``, without the mean if not centred.

    Attributes:
        node: The node that does it.
        inputs: The input slots that are added up to ``x``.
        gain: The input slot of the gain.
        bias: The input slot of the bias, or None.
        centred: Whether the mean is subtracted.
        epsilon: The standard value of the attribute ``epsilon``.
        sums: The output slots that hold ``x`` itself.
    """

    node: ir.Node
    inputs: tuple[int, ...]
    gain: int
    bias: int | None
    centred: bool
    epsilon: float
    sums: tuple[int, ...] = ()


@dataclass(frozen=True)
class Mean:
    """A mean that ``node`` takes over axis ``position`` of its first input, and nothing else."""

    node: ir.Node
    position: int


@dataclass(frozen=True)
class Evenness:
    """An axis over which a mean is taken: every channel must occur equally often.

    ``by`` is what takes the mean, where growth knows a way around that: quiet channels under a norm, weights in a mean.
    """

    axis: Axis
    reason: Reason
    by: Norm | Mean | None = None


@dataclass(frozen=True)
class Port:
    """An axis at the interface: outside it keeps its length, inside it may grow.

    Attributes:
        value: The graph input or output.
        position: Which of its axes.
        axis: What that is inside.
        inward: Whether it is an input, whose channels are copied; those of an output are picked.
        picker: The Gather that does so already, after an earlier growth.
    """

    value: ir.Value
    position: int
    axis: Axis
    inward: bool
    picker: ir.Node | None = None


@dataclass
class Ledger:
    """All obligations of one graph, in the order of its nodes."""

    contractions: list[Contraction]
    literals: list[Literal]
    picks: list[Picks]
    evenness: list[Evenness]
    defaults: list[Default]

    @classmethod
    def empty(cls) -> Ledger:
        """Return a ledger without entries."""
        return cls([], [], [], [], [])

    def extend(self, other: Ledger) -> None:
        """Append the entries of another ledger."""
        self.contractions += other.contractions
        self.literals += other.literals
        self.picks += other.picks
        self.evenness += other.evenness
        self.defaults += other.defaults

