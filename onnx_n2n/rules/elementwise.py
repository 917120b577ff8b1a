"""Operators that treat every element alike: any index is fine, and operands broadcast as in numpy."""

from onnx_n2n.rules.context import Context
from onnx_n2n.rules.registry import declare, rule

UNARY = (
    "Abs Asinh Atan BitwiseNot Cast Ceil Celu Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsInf IsNaN "
    "LeakyRelu Mish Neg Not Relu Round Selu Shrink Sigmoid Sign Sin Sinh Cosh Softplus Softsign Swish Tanh "
    "ThresholdedRelu"
)

declare(UNARY, "*p -> *p")
declare("Acos Acosh Asin Atanh Log Reciprocal Sqrt Tan", "*p -> *p", partial=True)
declare("BitCast", "*p -> *p", partial=True)  # any bits may be no number
declare("Affine ParametricSoftplus ScaledTanh", "*p -> *p")  # experimental, of old converters
declare("Clip", "*p, *_?, *_? -> *p")

declare("Add And BitwiseAnd BitwiseOr BitwiseXor Equal Greater GreaterOrEqual Less LessOrEqual Mul Or Sub Xor",
        "~*p, ~*p -> *p", since=7)
declare("Div Mod Pow BitShift", "~*p, ~*p -> *p", since=7, partial=True)
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
