"""The operators, methods and attributes that make a Tracer look like a NumPy array.

core/trace.py defines the Tracer; this file gives it the NumPy namespace, which lies above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from functrans.core.source import user_line
from functrans.core.trace import UNKNOWN, Tracer, apply_primitive
from functrans.numpy import (
    cumulative,
    index_functions,
    indexing,
    joining,
    manipulation,
    matrices,
    operators,
    products,
    protocols,
    reductions,
    selection,
    sorting,
    ufuncs,
)
from functrans.primitives import arithmetic as p
from functrans.primitives.shaping import reshape_p, slice_axis

# --- methods that are a function of the same name, and of the same arguments after the array ------

FUNCTIONS: dict[str, Any] = {
    "all": reductions.all,
    "any": reductions.any,
    "argmax": reductions.argmax,
    "argmin": reductions.argmin,
    "argpartition": sorting.argpartition,
    "argsort": sorting.argsort,
    "choose": index_functions.choose,
    "clip": selection.clip,
    "conj": ufuncs.conj,
    "conjugate": ufuncs.conjugate,
    "copy": manipulation.copy,
    "cumprod": cumulative.cumprod,
    "cumsum": cumulative.cumsum,
    "diagonal": matrices.diagonal,
    "dot": products.dot,
    "max": reductions.max,
    "mean": reductions.mean,
    "min": reductions.min,
    "nonzero": index_functions.nonzero,
    "prod": reductions.prod,
    "ravel": manipulation.ravel,
    "repeat": joining.repeat,
    "round": ufuncs.round,
    "searchsorted": sorting.searchsorted,
    "squeeze": manipulation.squeeze,
    "std": reductions.std,
    "sum": reductions.sum,
    "swapaxes": manipulation.swapaxes,
    "trace": products.trace,
    "var": reductions.var,
}

# --- methods whose arguments differ ---------------------------------------------------------------


def reshape(self: Tracer, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    """The same elements in another shape, given as a tuple or as arguments."""
    return manipulation.reshape(self, shape[0] if len(shape) == 1 else shape, order)


def transpose(self: Tracer, *axes: Any) -> Any:
    """The axes in another order, given as a tuple or as arguments; reversed by default."""
    if len(axes) == 1 and (axes[0] is None or not isinstance(axes[0], int | np.integer)):
        return manipulation.transpose(self, axes[0])
    return manipulation.transpose(self, axes or None)


def flatten(self: Tracer, order: str = "C") -> Any:
    """The elements as a one-dimensional array."""
    return manipulation.ravel(self, order)


def astype(
    self: Tracer,
    dtype: Any,
    order: str = "K",
    casting: str = "unsafe",
    subok: bool = True,
    copy: bool = True,
) -> Any:
    """The elements converted to a dtype."""
    if casting != "unsafe" and not np.can_cast(self.aval.dtype, dtype, casting):  # type: ignore[arg-type]
        raise TypeError(
            f"Cannot cast array data from {self.aval.dtype!r} to {np.dtype(dtype)!r} according to "
            f"the rule {casting!r}{user_line()}"
        )
    return p.convert(self, dtype)


def view(self: Tracer, dtype: Any = None) -> Any:
    """The bits of the elements as another dtype of the same size."""
    if dtype is None:
        return self
    wanted = np.dtype(dtype)
    if wanted.itemsize != self.aval.dtype.itemsize:
        raise TypeError(
            f"view of a traced array needs a dtype of the same size: got {self.aval} and {wanted}."
            f"{user_line()}"
        )
    return p.bitcast_p.bind(self, dtype=wanted)


def item(self: Tracer, *args: Any) -> Any:
    """The value of one element as a Python number, where that loses no derivative."""
    return np.asarray(self.constant("item()")).item(*args)


def tolist(self: Tracer) -> Any:
    """The elements as nested lists of tracers, of a zero-dimensional array the tracer itself."""
    return [tolist(x) if x.shape else x for x in self] if self.aval.shape else self  # type: ignore[attr-defined]


def sort(self: Tracer, axis: int = -1, **kwargs: Any) -> Any:
    """The sorted array; unlike an ndarray's method, which sorts in place, it returns it."""
    return sorting.sort(self, axis, **kwargs)


def compress(self: Tracer, condition: Any, axis: int | None = None, **kwargs: Any) -> Any:
    """The slices along an axis for which the condition holds."""
    return index_functions.compress(condition, self, axis, **kwargs)


def take(self: Tracer, indices: Any, axis: int | None = None, **kwargs: Any) -> Any:
    """The elements at positions along an axis; see `functrans.numpy.take`."""
    return index_functions.take(self, indices, axis, **kwargs)


def iterate(self: Tracer) -> Iterator[Any]:
    """The subarrays along the first axis."""
    shape = self.aval.shape
    if not shape:
        raise TypeError(f"iteration over a zero-dimensional array{user_line()}")
    return (reshape_p.bind(slice_axis(self, 0, i, i + 1), shape=shape[1:]) for i in range(shape[0]))


def contains(self: Tracer, value: Any) -> bool:
    """Whether an element equals the value, which must be known."""
    return bool(reductions.any(ufuncs.equal(self, value)))


def refuse_assignment(self: Tracer, index: Any, value: Any) -> NoReturn:
    """Traced arrays are immutable."""
    raise TypeError(
        f"a traced array cannot be assigned to in place: its type is {self.aval}.{user_line()}\n"
        "  Write x = x.at[index].set(value), which gives a new array; also .add, .multiply, .min, "
        ".max."
    )


def refuse_in_place(name: str) -> Any:
    """A method that says why tracers do not have it."""

    def method(self: Tracer, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"x.{name} changes an array in place, and traced arrays are immutable.{user_line()}\n"
            "  Use a function that returns the new array, or x.at[index].set(value)."
        )

    return method


def round_to(self: Tracer, ndigits: int | None = None) -> Any:
    """Python's round(x)."""
    return ufuncs.round(self, 0 if ndigits is None else ndigits)


def divide_with_remainder(self: Tracer, other: Any) -> tuple[Any, Any]:
    """Python's divmod(x, y)."""
    return self // other, self % other  # type: ignore[operator]


def reflected_divmod(self: Tracer, other: Any) -> tuple[Any, Any]:
    """Python's divmod(y, x)."""
    return other // self, other % self


def matrix_product(self: Tracer, other: Any) -> Any:
    """x @ y."""
    return products.matmul(self, other)


def reflected_matrix_product(self: Tracer, other: Any) -> Any:
    """y @ x."""
    return products.matmul(other, self)


def as_data(self: Tracer, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """NumPy asks for the data: integers and booleans of known value have no derivative to lose,
    so they are given (to index a NumPy array with, say); other tracers explain themselves."""
    if self.value is not UNKNOWN and self.aval.dtype.kind in "biu":
        return np.array(self.concrete("the data", ""), dtype=dtype)
    return _array(self, dtype, copy)


_array = Tracer.__array__

METHODS: dict[str, Any] = {
    "__abs__": operators.absolute,
    "__array__": as_data,
    "__array_function__": protocols.array_function,
    "__array_namespace__": protocols.array_namespace,
    "__array_ufunc__": protocols.array_ufunc,
    "__contains__": contains,
    "__copy__": lambda self: self,
    "__deepcopy__": lambda self, memo: self,
    "__divmod__": divide_with_remainder,
    "__getitem__": indexing.getitem,
    "__invert__": ufuncs.invert,
    "__iter__": iterate,
    "__matmul__": matrix_product,
    "__neg__": lambda self: apply_primitive(p.neg_p, (self,), {}),
    "__pos__": lambda self: self,
    "__rdivmod__": reflected_divmod,
    "__rmatmul__": reflected_matrix_product,
    "__round__": round_to,
    "__setitem__": refuse_assignment,
    "astype": astype,
    "compress": compress,
    "flatten": flatten,
    "item": item,
    "reshape": reshape,
    "sort": sort,
    "take": take,
    "tolist": tolist,
    "transpose": transpose,
    "view": view,
}
ATTRIBUTES: dict[str, Any] = {
    "T": manipulation.transpose,
    "at": indexing.at,
    "device": lambda self: "cpu",
    "flat": lambda self: iterate(manipulation.ravel(self)),
    "imag": ufuncs.imag,
    "mT": manipulation.matrix_transpose,
    "real": ufuncs.real,
}
IN_PLACE = ("fill", "itemset", "partition", "put", "resize", "setfield", "byteswap")


def _method(name: str, function: Any) -> Any:
    """The function as a method: a Python function of its own, so that Tracer's help is readable."""

    def method(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = name
    method.__qualname__ = f"Tracer.{name}"
    method.__doc__ = function.__doc__
    return method


def _install() -> None:
    for name, (forward, reflected) in operators.OPERATORS.items():
        setattr(Tracer, f"__{name}__", forward)
        setattr(Tracer, f"__r{name}__", reflected)
    for name, compare in operators.COMPARISONS.items():
        setattr(Tracer, f"__{name}__", compare)
    for name, function in FUNCTIONS.items():
        setattr(Tracer, name, _method(name, function))
    for name, function in METHODS.items():
        setattr(Tracer, name, function)
    for name, function in ATTRIBUTES.items():
        setattr(Tracer, name, property(function))
    for name in IN_PLACE:
        setattr(Tracer, name, refuse_in_place(name))
    Tracer.__hash__ = None  # type: ignore[assignment]  # setting __eq__ later does not do it


_install()
