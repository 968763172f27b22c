"""Primitives whose value is their operand, and that mean something to a transform or the compiler:
stop_gradient, optimization_barrier, checkpoint_name."""

from __future__ import annotations

from typing import Any

from functrans.core import tree
from functrans.core.primitive import Linear, Primitive
from functrans.core.trace import UNKNOWN, Tracer, as_value
from functrans.core.types import Aval, dtype_of, weakened

# --- stop_gradient: no rule for derivatives, so its tangent is zero -------------------------------

stop_gradient_p: Primitive = Primitive(
    "stop_gradient",
    infer=lambda x: x,
    evaluate=lambda x: x,
    batch=lambda args, batched: (stop_gradient_p.bind(*args), True),
    cost=lambda inputs, outputs: 0,
)


def stop_gradient(x: Any) -> Any:
    """x as a constant to every derivative.

    Args:
        x: an array or a tree of arrays.

    Returns:
        The same values. Under `grad` and its kin outside `jit` these are plain arrays, which any
        NumPy code takes.

    >>> import functrans as ft
    >>> float(ft.grad(lambda x: x * ft.stop_gradient(x))(3.0))
    3.0
    """

    def stop(leaf: Any) -> Any:
        value = as_value(leaf)
        if dtype_of(value).kind not in "fc" or type(value) is not Tracer:
            return value
        if value.value is not UNKNOWN:
            return weakened([value.concrete("stop_gradient", "")], [value.aval])[0]
        return stop_gradient_p.bind(value)

    return tree.map(stop, x)


# --- optimization_barrier: the compiler moves nothing across it -----------------------------------


def _jvp_barrier(ts: list, primals: list, outs: Any) -> list:
    kept = [i for i, t in enumerate(ts) if t is not None]
    results = dict(zip(kept, optimization_barrier_p.bind(*[ts[i] for i in kept]), strict=True))
    return [results.get(i) for i in range(len(ts))]


def _transpose_barrier(cts: list, *operands: Any) -> list:
    linear = [type(x) is Linear and ct is not None for x, ct in zip(operands, cts, strict=True)]
    results = iter(optimization_barrier_p.bind(*[c for c, n in zip(cts, linear, strict=True) if n]))
    return [next(results) if n else None for n in linear]


optimization_barrier_p: Primitive = Primitive(
    "optimization_barrier",
    infer=lambda *avals: avals,
    evaluate=lambda *values: list(values),
    jvp=_jvp_barrier,
    transpose=_transpose_barrier,
    batch=lambda args, batched: (optimization_barrier_p.bind(*args), batched),
    depends=lambda sets: list(sets),
    cost=lambda inputs, outputs: 0,
    multiple_results=True,
)


def optimization_barrier(operand: Any) -> Any:
    """The operand, with the compiler kept from merging or moving what is before and after it.

    Args:
        operand: an array or a tree of arrays.

    >>> from functrans import lax
    >>> lax.optimization_barrier((1.0, 2.0))
    (1.0, 2.0)
    """
    leaves, treedef = tree.flatten(operand)
    return tree.unflatten(treedef, optimization_barrier_p.bind(*map(as_value, leaves)))


# --- checkpoint_name: what the policies save_only_these_names and its kin look for ----------------


def _infer_name(x: Aval, *, name: str) -> Aval:
    return x


name_p: Primitive = Primitive(
    "name",
    infer=_infer_name,
    evaluate=lambda x, name: x,
    jvp=lambda tangents, primals, out, name: tangents[0],
    transpose=lambda ct, x, name: [ct],
    batch=lambda args, batched, name: (name_p.bind(*args, name=name), True),
    cost=lambda inputs, outputs, name: 0,
)


def checkpoint_name(x: Any, name: str) -> Any:
    """x under a name by which a policy of `checkpoint` can save it.

    Args:
        x: an array or a tree of arrays.
        name: any string.

    >>> float(checkpoint_name(2.0, "hidden"))
    2.0
    """
    return tree.map(lambda leaf: name_p.bind(as_value(leaf), name=name), x)


__all__ = ["checkpoint_name", "optimization_barrier", "stop_gradient"]
