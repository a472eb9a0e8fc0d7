"""Sixteen numbers in one register, for numba kernels.

Numba leaves vectorisation to LLVM's loop vectoriser, which gives up (or adds alias checks to every inner loop) on
recurrences such as the selective scan. This file gives numba a value type, a vector of :data:`LANES` floats, and the
few operations the kernels of this folder need. LLVM maps the type to whatever the machine has: one AVX-512 register,
two of AVX, four of SSE or NEON; no compiler is needed. Importing this file imports numba (about a second), so only
kernel files do, and those are imported at the first call.

Accuracy: float32 functions are good to about 1e-7 relative, float64 ones to about 1e-15.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import register_model
from numba.np.arrayobj import make_array

LANES = 16

# Untyped on purpose: the callers of an intrinsic see other arguments than its definition has.
intrinsic: Any = numba_intrinsic

# 2^r on [-0.5, 0.5]. For float32 the polynomial of degree 6 with the least greatest relative error (2.0e-9, and 7.9e-8
# after rounding) among those that are exactly 1 at 0: a recurrence repeats any error there thousands of times. For
# float64 the Taylor series, whose first missing term is below 5e-18.
_EXP2_FLOAT = (1.0, 0.693147203, 0.240226479, 0.0555033247, 0.00961843738, 0.00133988754, 0.000153533591)
_EXP2_DOUBLE = tuple(math.log(2.0) ** k / math.factorial(k) for k in range(14))


class VectorType(types.Type):
    """The numba type of a vector of :data:`LANES` floats of type ``scalar``."""

    def __init__(self, scalar: types.Float) -> None:
        self.scalar = scalar
        super().__init__(name=f"Vector{LANES}({scalar})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: VectorType) -> None:
        element = dmm.lookup(fe_type.scalar).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(element, LANES))


def _constant(like: ir.Value, value: float | int) -> ir.Constant:
    return ir.Constant(like.type, [ir.Constant(like.type.element, value)] * LANES)


def _is_float32(value: ir.Value) -> bool:
    return isinstance(value.type.element, ir.FloatType)


def _fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    # fmuladd, not fma: a machine without the fused instruction then multiplies and adds instead of calling libm.
    name = f"llvm.fmuladd.v{LANES}f{32 if _is_float32(a) else 64}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(a.type, [a.type] * 3), name)
    return builder.call(function, [a, b, c])


def _horner(builder: ir.IRBuilder, x: ir.Value, coefficients: tuple[float, ...]) -> ir.Value:
    total: ir.Value = _constant(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = _fma(builder, total, x, _constant(x, coefficient))
    return total


def _clamp(builder: ir.IRBuilder, x: ir.Value, low: float, high: float) -> ir.Value:
    """Clamp; written so that NaN passes through."""
    floor, ceiling = _constant(x, low), _constant(x, high)
    x = builder.select(builder.fcmp_ordered("<", x, floor), floor, x)
    return builder.select(builder.fcmp_ordered(">", x, ceiling), ceiling, x)


def _exp2(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """2^x; beyond the range of normal numbers the nearest end of it."""
    single = _is_float32(x)
    bits, magic, low, high = (23, 1.5 * 2.0**23, -126.0, 127.0) if single else (52, 1.5 * 2.0**52, -1022.0, 1023.0)
    integer = ir.VectorType(ir.IntType(32 if single else 64), LANES)
    x = _clamp(builder, x, low, high)
    # Adding 1.5 * 2^bits rounds to an integer k and leaves k in the low bits, ready to be shifted onto the exponent.
    shifted = builder.fadd(x, _constant(x, magic))
    rest = builder.fsub(x, builder.fsub(shifted, _constant(x, magic)))
    mantissa = builder.bitcast(_horner(builder, rest, _EXP2_FLOAT if single else _EXP2_DOUBLE), integer)
    exponent = builder.bitcast(shifted, integer)
    exponent = builder.shl(exponent, _constant(exponent, bits))
    return builder.bitcast(builder.add(mantissa, exponent), x.type)


def _sigmoid(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    one = _constant(x, 1.0)
    e = _exp2(builder, builder.fmul(x, _constant(x, -1.0 / math.log(2.0))))
    return builder.fdiv(one, builder.fadd(one, e))


def _softplus(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """log(1 + e^x), and x itself above 20 as in ``torch.nn.functional.softplus``."""
    zero, inverse_log2 = _constant(x, 0.0), 1.0 / math.log(2.0)
    positive = builder.select(builder.fcmp_ordered("<", x, zero), zero, x)
    magnitude = builder.fsub(builder.fsub(x, positive), positive)  # -|x|
    t = _exp2(builder, builder.fmul(magnitude, _constant(x, inverse_log2)))
    # log(1 + t) = 2 artanh(s) with s = t / (2 + t) <= 1/3: a short odd series without cancellation.
    s = builder.fdiv(t, builder.fadd(t, _constant(x, 2.0)))
    terms = 8 if _is_float32(x) else 18
    series = _horner(builder, builder.fmul(s, s), tuple(2.0 / (2 * k + 1) for k in range(terms)))
    return builder.select(builder.fcmp_ordered(">", x, _constant(x, 20.0)), x, _fma(builder, s, series, positive))


def _sum(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """The sum of the lanes, always in the same order: halves onto halves."""
    width = LANES
    while width > 1:
        width //= 2
        indices = [ir.Constant(ir.IntType(32), (lane + width) % LANES) for lane in range(LANES)]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), indices)
        x = builder.fadd(x, builder.shuffle_vector(x, ir.Constant(x.type, ir.Undefined), mask))
    return builder.extract_element(x, ir.Constant(ir.IntType(32), 0))


def _elementwise(emit: Callable[..., ir.Value], arity: int, doc: str, reduces: bool = False) -> Any:
    """An intrinsic of ``arity`` vectors of one type, from the function that emits its instructions."""

    def typed(vector: Any) -> tuple[Any, Any]:
        if not isinstance(vector, VectorType):
            raise TypeError(f"a vector is needed, not {vector}")
        signature = (vector.scalar if reduces else vector)(*[vector] * arity)
        return signature, lambda context, builder, sig, args: emit(builder, *args)

    # Numba reads the number of arguments from the function itself.
    if arity == 1:

        def function(typingctx: Any, a: Any) -> Any:
            return typed(a)
    elif arity == 2:

        def function(typingctx: Any, a: Any, b: Any) -> Any:  # type: ignore[misc]
            return typed(a)
    else:

        def function(typingctx: Any, a: Any, b: Any, c: Any) -> Any:  # type: ignore[misc]
            return typed(a)

    function.__doc__ = doc
    return intrinsic(function)


fma = _elementwise(_fma, 3, "``a * b + c``.")
add = _elementwise(lambda builder, a, b: builder.fadd(a, b), 2, "``a + b``.")
mul = _elementwise(lambda builder, a, b: builder.fmul(a, b), 2, "``a * b``.")
negate = _elementwise(lambda builder, a: builder.fneg(a), 1, "``-a``.")
exp2 = _elementwise(_exp2, 1, "``2 ** a``.")
sigmoid = _elementwise(_sigmoid, 1, "``1 / (1 + exp(-a))``.")
softplus = _elementwise(_softplus, 1, "``log(1 + exp(a))``, ``a`` itself above 20.")
times_log2e = _elementwise(lambda builder, a: builder.fmul(a, _constant(a, 1.0 / math.log(2.0))), 1, "``a * log2(e)``.")
total = _elementwise(_sum, 1, "The sum of the lanes, a scalar.", reduces=True)


def _pointer(context: Any, builder: ir.IRBuilder, array_type: Any, array: ir.Value, index: ir.Value) -> ir.Value:
    data = make_array(array_type)(context, builder, array).data
    element = context.get_data_type(array_type.dtype)
    vector = ir.VectorType(element, LANES).as_pointer()
    return builder.bitcast(builder.gep(data, [index]), vector)


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """The vector ``array[index : index + LANES]`` of a contiguous 1-D array (bounds are the caller's)."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        pointer = _pointer(context, builder, sig.args[0], *args)
        return builder.load(pointer, align=sig.args[0].dtype.bitwidth // 8)

    return VectorType(array.dtype)(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, vector: Any) -> Any:
    """``array[index : index + LANES] = vector`` for a contiguous 1-D array (bounds are the caller's)."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        pointer = _pointer(context, builder, sig.args[0], args[0], args[1])
        builder.store(args[2], pointer, align=sig.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


def _first_lanes(builder: ir.IRBuilder, count: ir.Value) -> ir.Value:
    """The mask of the first ``count`` lanes."""
    vector = ir.VectorType(count.type, LANES)
    zero = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), count, ir.Constant(ir.IntType(32), 0))
    counts = builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zero)
    return builder.icmp_signed("<", ir.Constant(vector, list(range(LANES))), counts)


def _masked(builder: ir.IRBuilder, verb: str, vector: Any, result: Any, arguments: list[ir.Value]) -> ir.Value:
    name = f"llvm.masked.{verb}.v{LANES}f{32 if isinstance(vector.element, ir.FloatType) else 64}.p0"
    signature = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, name), arguments)


@intrinsic
def load_first(typingctx: Any, array: Any, index: Any, count: Any) -> Any:
    """As :func:`load`, but the first ``count`` lanes only; the others are zero and their memory is not touched."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        vector = context.get_data_type(sig.return_type)
        align = ir.Constant(ir.IntType(32), sig.args[0].dtype.bitwidth // 8)
        pointer, mask = _pointer(context, builder, sig.args[0], *args[:2]), _first_lanes(builder, args[2])
        zero = ir.Constant(vector, [0.0] * LANES)
        return _masked(builder, "load", vector, vector, [pointer, align, mask, zero])

    return VectorType(array.dtype)(array, types.intp, types.intp), codegen


@intrinsic
def store_first(typingctx: Any, array: Any, index: Any, vector: Any, count: Any) -> Any:
    """As :func:`store`, but the first ``count`` lanes only."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        align = ir.Constant(ir.IntType(32), sig.args[0].dtype.bitwidth // 8)
        pointer, mask = _pointer(context, builder, sig.args[0], *args[:2]), _first_lanes(builder, args[3])
        _masked(builder, "store", args[2].type, ir.VoidType(), [args[2], pointer, align, mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), codegen


@intrinsic
def zeros(typingctx: Any, array: Any) -> Any:
    """The zero vector of the array's type."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return ir.Constant(context.get_data_type(sig.return_type), [0.0] * LANES)

    return VectorType(array.dtype)(array), codegen


@intrinsic
def splat(typingctx: Any, array: Any, index: Any) -> Any:
    """The vector whose every lane is ``array[index]``."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        data = make_array(sig.args[0])(context, builder, args[0]).data
        scalar = builder.load(builder.gep(data, [args[1]]))
        vector = ir.VectorType(scalar.type, LANES)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [ir.Constant(ir.IntType(32), 0)] * LANES)
        return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), mask)

    return VectorType(array.dtype)(array, types.intp), codegen


@intrinsic
def transpose(typingctx: Any, source: Any, source_at: Any, target: Any, target_at: Any) -> Any:
    """Transpose the LANES x LANES tile at ``source[source_at:]`` into the one at ``target[target_at:]``."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        align = sig.args[0].dtype.bitwidth // 8

        def row(array: int, index: int) -> ir.Value:
            at = builder.add(args[array + 1], ir.Constant(args[array + 1].type, index * LANES))
            return _pointer(context, builder, sig.args[array], args[array], at)

        rows = [builder.load(row(0, index), align=align) for index in range(LANES)]
        for half in (8, 4, 2, 1):
            _swap_blocks(builder, rows, half)
        for index, value in enumerate(rows):
            builder.store(value, row(2, index), align=align)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), codegen


def _swap_blocks(builder: ir.IRBuilder, rows: list[ir.Value], half: int) -> None:
    """One round of Eklundh's transposition: swap the off-diagonal ``half`` x ``half`` blocks."""

    def mask(lanes: list[int]) -> ir.Constant:
        return ir.Constant(ir.VectorType(ir.IntType(32), LANES), [ir.Constant(ir.IntType(32), lane) for lane in lanes])

    lanes = range(LANES)
    upper = mask([LANES + lane - half if lane & half else lane for lane in lanes])
    lower = mask([LANES + lane if lane & half else lane + half for lane in lanes])
    for index in lanes:
        if not index & half:
            a, b = rows[index], rows[index + half]
            rows[index], rows[index + half] = builder.shuffle_vector(a, b, upper), builder.shuffle_vector(a, b, lower)
