"""Recurrent layers: the hidden channels of every gate are one factor, and the recurrent weight sums over them."""

from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.obligations import Summand
from onnx_n2n.rules.registry import rule

# How many gates a weight, a bias (of input and recurrence) and the peepholes have; the states given, and those made.
GATES = {
    "RNN": ({"gates": 1, "biases": 2}, "d n h?", "d n h"),
    "GRU": ({"gates": 3, "biases": 6}, "d n h?", "d n h"),
    "LSTM": ({"gates": 4, "biases": 8, "peepholes": 3}, "d n h?, d n h?, d (peepholes h)?", "d n h, d n h"),
}


def _declaration(operator: str, *, batch_first: bool) -> Declaration:
    gates, given, made = GATES[operator]
    read, written = ("n t x", "n t d h") if batch_first else ("t n x", "t d n h")
    states = (given, made) if not batch_first else (given.replace("d n h", "n d h"), made.replace("d n h", "n d h"))
    return Declaration.parse(
        f"{read}, d (gates h) x, d (gates h) h, d (biases h)?, n?, {states[0]} -> {written}, {states[1]}",
        sizes={**gates, "h": "hidden_size"},
        pinned="t d",
        why="the operator goes along this axis step by step, or by direction",
    )


RECURRENT = {
    (operator, batch_first): _declaration(operator, batch_first=batch_first)
    for operator in GATES
    for batch_first in (False, True)
}


@rule("LSTM GRU RNN", since=7)
def recurrent(context: Context) -> None:
    """``t n x, d (gates h) x, d (gates h) h, ... -> t d n h, d n h``; in layout 1 the batch comes first."""
    if any(name.lower() == "softmax" for name in context.attribute("activations", ())):
        raise Refusal("an activation looks at all hidden channels at once")
    RECURRENT[context.node.op_type, bool(context.attribute("layout", 0))](context)
    # The hidden state goes round inside the operator, so that only the recurrent weight can carry shares.
    context.contract([Summand(2, 2, ((context.axes(2)[2], True),))])
