"""What an array is to a Program: its shape, its dtype, and whether its dtype is weak.

A *weak* type is that of a Python scalar (NEP 50): it takes part in arithmetic without
forcing its dtype on the other operand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError

float0 = np.dtype([("float0", np.void, 0)])
"""The dtype of tangents of integer and boolean values, which have no tangent space."""

PYTHON_SCALARS: dict[type, np.dtype] = {
    bool: np.dtype(np.bool_),
    int: np.dtype(np.int64),
    float: np.dtype(np.float64),
    complex: np.dtype(np.complex128),
}
_PYTHON_TYPE_OF_KIND = {"b": bool, "i": int, "f": float, "c": complex}
_SHORT_KIND = {"b": "bool", "i": "i", "u": "u", "f": "f", "c": "c"}


_ARRAYS = (np.ndarray, np.generic)
_CANONICAL = {np.dtype(c): np.dtype(np.dtype(c).str) for c in "?bhilqBHILQefdgFDG"}
"""Native dtypes; of those that are equal (C's long and long long), the one arrays commonly have."""


class Aval:
    """The abstract value of an array: shape, dtype, weak-typedness. Immutable and hashable."""

    __slots__ = ("dtype", "shape", "weak_type")

    def __init__(self, shape: Sequence[int], dtype: Any, weak_type: bool = False) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype if type(dtype) is np.dtype else np.dtype(dtype)
        self.weak_type = weak_type

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def update(self, shape: Sequence[int] | None = None, dtype: Any = None) -> Aval:
        """The strong aval with another shape or dtype."""
        return Aval(self.shape if shape is None else shape, self.dtype if dtype is None else dtype)

    def strong(self) -> Aval:
        return Aval(self.shape, self.dtype) if self.weak_type else self

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Aval)
            and self.shape == other.shape
            and self.dtype == other.dtype
            and self.weak_type == other.weak_type
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype.num, self.weak_type))

    def __repr__(self) -> str:
        star = "*" if self.weak_type else ""
        return f"{short_dtype(self.dtype)}{star}[{','.join(map(str, self.shape))}]"


class ShapeDtypeStruct:
    """The shape and dtype of an array without its data, as `eval_shape` takes and returns.

    >>> ShapeDtypeStruct((2, 3), "float32")
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """

    __slots__ = ("dtype", "shape", "weak_type")

    def __init__(self, shape: Sequence[int], dtype: Any, weak_type: bool = False) -> None:
        self.shape = tuple(shape)
        self.dtype = check_dtype(np.dtype(dtype))
        self.weak_type = weak_type

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ShapeDtypeStruct)
            and self.shape == other.shape
            and self.dtype == other.dtype
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype.num))

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype})"


@lru_cache(maxsize=256)
def short_dtype(dtype: np.dtype) -> str:
    """The short name of a dtype as Programs print it: f64, i32, u8, c128, bool."""
    kind = _SHORT_KIND.get(dtype.kind)
    if kind is None:
        return str(dtype)
    return kind if kind == "bool" else f"{kind}{dtype.itemsize * 8}"


def check_dtype(dtype: np.dtype) -> np.dtype:
    """The canonical native dtype; DTypeError for object, string, datetime and the like."""
    if dtype.kind not in "biufc":
        raise DTypeError(
            f"functrans works on arrays of bool, integers, floats and complex numbers: got dtype "
            f"{dtype}. Convert the data first, e.g. with x.astype(float)."
        )
    return _CANONICAL[dtype.newbyteorder("=")]


def aval_of(x: Any) -> Aval:
    """The aval of an array, a NumPy or Python scalar, a Tracer or a ShapeDtypeStruct.

    Raises:
        DTypeError: x is none of these, or its dtype is not numeric.
    """
    if isinstance(x, _ARRAYS):
        dtype = _CANONICAL.get(x.dtype)
        return Aval(x.shape, dtype if dtype is not None else check_dtype(x.dtype))
    aval = getattr(x, "aval", None)
    if type(aval) is Aval:
        return aval
    dtype = PYTHON_SCALARS.get(type(x))
    if dtype is not None:
        return Aval((), dtype, weak_type=True)
    if isinstance(x, ShapeDtypeStruct):
        return Aval(x.shape, x.dtype, x.weak_type)
    for python_type, dtype in PYTHON_SCALARS.items():  # subclasses such as IntEnum
        if isinstance(x, python_type):
            return Aval((), dtype, weak_type=True)
    raise DTypeError(
        f"expected an array or a number, got {type(x).__name__}: {_brief(x)}. "
        "Lists become arrays with fnp.asarray; other objects can be static arguments."
    )


def weakened(values: Sequence[Any], avals: Sequence[Aval]) -> list[Any]:
    """The values, those of weak type as Python scalars, as the compiler hands them out too."""
    return [
        x.item() if a.weak_type and isinstance(x, np.generic) else x
        for x, a in zip(values, avals, strict=True)
    ]


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array, tracer or scalar; cheaper than `numpy.shape`, and not dispatched."""
    return getattr(x, "shape", ())


def dtype_of(x: Any) -> np.dtype:
    """The dtype of an array, tracer or scalar."""
    dtype = getattr(x, "dtype", None)
    return dtype if dtype is not None else aval_of(x).dtype


def is_array_like(x: Any) -> bool:
    """Whether `aval_of(x)` would succeed."""
    try:
        aval_of(x)
    except DTypeError:
        return False
    return True


def promotion_key(aval: Aval) -> Any:
    """What stands for the aval in `numpy.result_type` and `ufunc.resolve_dtypes`."""
    if aval.weak_type and aval.dtype.kind in "ifc":
        return _PYTHON_TYPE_OF_KIND[aval.dtype.kind]
    return aval.dtype


@lru_cache(maxsize=4096)
def result_dtype(*keys: Any) -> np.dtype:
    """NumPy's promotion of dtypes and Python scalar types.

    >>> result_dtype(np.dtype("float32"), float)
    dtype('float32')
    """
    return np.result_type(*[k if isinstance(k, np.dtype) else k(0) for k in keys])


def promote_dtypes(*avals: Aval) -> np.dtype:
    """The dtype that NumPy gives to an operation on these operands."""
    return result_dtype(*[promotion_key(a) for a in avals])


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape to which all shapes broadcast; ShapeError when there is none."""
    first = tuple(shapes[0])
    if all(tuple(s) == first for s in shapes[1:]):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        shown = " and ".join(str(tuple(s)) for s in shapes)
        raise ShapeError(f"shapes {shown} do not broadcast together") from None


def canonical_axis(axis: Any, ndim: int, what: str = "axis") -> int:
    """A non-negative axis below ndim; ShapeError when out of bounds."""
    try:
        index = int(axis.__index__())
    except AttributeError:
        raise DTypeError(f"{what} must be an integer, got {described(axis)}") from None
    if not -ndim <= index < ndim:
        raise ShapeError(f"{what} {index} is out of bounds for an array of dimension {ndim}")
    return index % ndim


def canonical_axes(axis: Any, ndim: int, what: str = "axis") -> tuple[int, ...]:
    """A tuple of distinct non-negative axes from None (all), an int or a sequence of ints."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, Sequence | np.ndarray) else (axis,)
    result = tuple(canonical_axis(a, ndim, what) for a in axes)
    if len(set(result)) != len(result):
        raise ShapeError(f"{what} {tuple(axes)} names an axis twice")
    return result


def described(x: Any) -> str:
    """What an error calls a value that is not what it should be.

    >>> described(np.zeros(3)), described((1, 2)), described({"a": 1}), described("text")
    ('an array of type f64[3]', 'a tuple of 2', "a dict with keys ['a']", "str: 'text'")
    """
    if x is None:
        return "None"
    if isinstance(x, dict):
        return f"a {type(x).__name__} with keys {list(x)}"
    if isinstance(x, tuple | list):
        return f"a {type(x).__name__} of {len(x)}"
    if type(x) in PYTHON_SCALARS or not is_array_like(x):
        return f"{type(x).__name__}: {_brief(x)}"
    return f"an array of type {aval_of(x)}"


def _brief(x: Any) -> str:
    text = repr(x)
    return text if len(text) <= 60 else text[:57] + "..."
