"""Operators that treat every element alike: any index is fine, and operands broadcast as in numpy."""

import numpy as np

from onnx_n2n.rules.context import Context
from onnx_n2n.rules.declaration import PARTIAL, Declaration
from onnx_n2n.rules.registry import declare, rule

UNARY = (
    "Abs Asinh Atan BitwiseNot Cast Ceil Celu Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsInf IsNaN "
    "LeakyRelu Mish Neg Not Relu Round Selu Shrink Sigmoid Sign Sin Sinh Cosh Softplus Softsign Swish Tanh "
    "ThresholdedRelu"
)

declare(UNARY, "*p -> *p")
declare("Acos Acosh Asin Atanh Tan", "*p -> *p", partial=True)
declare("BitCast", "*p -> *p", partial=True)  # any bits may be no number
declare("Affine ParametricSoftplus ScaledTanh", "*p -> *p")  # experimental, of old converters
declare("Clip", "*p, *_?, *_? -> *p")

declare("Add And BitwiseAnd BitwiseOr BitwiseXor Equal Greater GreaterOrEqual Less LessOrEqual Mul Or Sub Xor",
        "~*p, ~*p -> *p", since=7)
UNARY_BY = {partial: Declaration.parse("*p -> *p", partial=partial) for partial in (False, True)}
BINARY = {partial: Declaration.parse("~*p, ~*p -> *p", partial=partial) for partial in (False, True)}
declare("PRelu", "~*p, ~*p -> *p", since=7)
declare("Max Mean Min Sum", "~*p ... -> *p")
declare("SwiGLU", "*p, *p -> *p")
declare("Where", "~*p, ~*p, ~*p -> *p")


@rule("CastLike")
def cast_like(context: Context) -> None:
    """``*p -> *p``; of the second operand only the type matters."""
    context.result(context.axes(0))


@rule("Dropout")
def dropout(context: Context) -> None:
    """``*p -> *p, *p``; the identity in evaluation. In training it drops copies of a channel independently."""
    axes = context.axes(0)
    for slot in range(len(context.node.outputs)):
        context.result(axes, slot)


@rule("Sqrt Log Reciprocal")
def of_positive(context: Context) -> None:
    """``*p -> *p``; copies only, unless the operand is never negative (Sqrt) or always positive (Log, Reciprocal)."""
    floor = context.floor(0)
    defined = floor.never_negative if context.node.op_type == "Sqrt" else floor.positive
    UNARY_BY[not defined](context)
    if defined:
        context.hold(floor, PARTIAL)


@rule("Div", since=7)
def divide(context: Context) -> None:
    """``~*p, ~*p -> *p``; copies only, on axes of the divisor, unless a constant without 0, or always positive."""
    divisor, floor = context.constant(1), context.floor(1)
    if divisor is not None and divisor.dtype.kind in "iu":
        _binary(context, 1, defined=bool(np.all(divisor > 0)))  # the least one has no quotient with -1
    elif divisor is not None:
        _binary(context, 1, defined=bool(np.all(divisor)))
    elif not context.real(1):
        _binary(context, 1, defined=False)
    else:
        BINARY[False](context)
        if floor.positive:
            context.hold(floor, PARTIAL)
        else:  # one that is the same for all channels divides the teacher's as well
            for axis in context.own_axes(1):
                context.require_copies(axis, PARTIAL)


@rule("Mod", since=7)
def remainder(context: Context) -> None:
    """``~*p, ~*p -> *p``; copies only, unless the divisor is constant and never 0."""
    divisor = context.constant(1)
    real = divisor is not None and divisor.dtype.kind not in "iu"
    _binary(context, 1, defined=divisor is not None and bool(np.all(divisor if real else divisor > 0)))


@rule("Pow", since=7)
def power(context: Context) -> None:
    """``~*p, ~*p -> *p``; copies only, unless the exponent is constant, and natural or the base positive."""
    exponent, floor = context.constant(1), context.floor(0)
    whole = exponent is not None and bool(np.all((exponent >= 0) & (exponent % 1 == 0)))
    positive = exponent is not None and (floor.positive or (floor.never_negative and bool(np.all(exponent >= 0))))
    _binary(context, 1, defined=whole or positive)
    if positive and not whole:
        context.hold(floor, PARTIAL)


@rule("BitShift")
def bit_shift(context: Context) -> None:
    """``~*p, ~*p -> *p``; copies only, unless the shift is constant, and by fewer places than a number has."""
    places = context.constant(1)
    _binary(context, 1, defined=places is not None and bool(np.all(places < 8 * places.itemsize)))


def _binary(context: Context, slot: int, *, defined: bool) -> None:
    """Broadcast two operands, where an operator that is not defined for every number is so for these of ``slot``.

    That operand may have axes that grow. Then it is copied there, since it could be any number in fresh channels.
    """
    BINARY[not defined](context)
    for axis in context.axes(slot) if defined else ():
        context.require_copies(axis, PARTIAL)
