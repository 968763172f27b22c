"""`x[index]` and `at(x)[index].set(v)`: reading and updating elements as NumPy's indices say.

Known indices are NumPy's: out of bounds is an error. Indices that are traced cannot be checked, so
as in JAX a read clamps them to the nearest element and an update outside is dropped; `mode` in
`.at[...]` chooses otherwise. Negative ones count from the end in either case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, IndexingError, ShapeError
from functrans.core.trace import UNKNOWN, Tracer
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy.index_plan import (
    READ_MODES,
    WRITE_MODES,
    Plan,
    fill_as_scalar,
    has_traced_index,
    mode_of,
    parse,
)
from functrans.numpy.promotion import as_array, to_dtype
from functrans.primitives.arithmetic import convert, max_p, min_p, select_p
from functrans.primitives.dynamic import dynamic_update_slice_p
from functrans.primitives.indexing import gather, scatter
from functrans.primitives.shaping import broadcast_p, flip_p, reshape_p, slice_p, transpose_p


def getitem(x: Any, index: Any) -> Any:
    """`x[index]` for arrays and traced arrays, with any index that NumPy takes.

    Args:
        x: an array.
        index: integers, slices, None, Ellipsis, integer arrays (traced or not), boolean arrays of
            known value, or a tuple of these.

    Raises:
        IndexingError: a known index is out of bounds, or no index.
        ConcretizationError: the shape of the result would depend on traced values.

    >>> getitem(np.arange(12.0).reshape(3, 4), (slice(None, None, -2), [0, 3]))
    array([[ 8., 11.],
           [ 0.,  3.]])
    """
    x = as_array(x)
    if type(x) is not Tracer and not has_traced_index(index):
        return np.asarray(x)[index]
    return read(x, parse(shape_of(x), index), "clip")


def read(x: Any, plan: Plan, mode: str, fill: Any = None) -> Any:
    """The elements of x that a plan names."""
    y = take_slices(x, plan)
    if plan.axes:
        mode = "promise_in_bounds" if plan.in_bounds else mode
        y = gather(y, plan.indices, plan.axes, mode, fill)
        lead = len(plan.lead)
        rest = range(lead, len(shape_of(y)))
        order = (*rest[: plan.position], *range(lead), *rest[plan.position :])
        y = _transposed(y, order)
    return _reshaped(y, plan.shape)


def take_slices(x: Any, plan: Plan) -> Any:
    """x with a plan's slices taken and its integer axes dropped."""
    y = _reshaped(x, plan.base)
    if not plan.whole:
        y = slice_p.bind(y, start=plan.start, stop=plan.stop, step=plan.step)
    y = _reshaped(y, plan.kept)
    return flip_p.bind(y, axes=plan.flipped) if plan.flipped else y


def put_slices(x: Any, y: Any, plan: Plan, op: str) -> Any:
    """x with y set or added where `take_slices` reads."""
    y = flip_p.bind(y, axes=plan.flipped) if plan.flipped else y
    y = _reshaped(y, plan.sliced)
    wide = _reshaped(x, plan.base)
    if 0 in plan.sliced:
        return x
    if not plan.whole:
        y = _write_block(wide, y, plan, op)
    elif op == "add":
        y = wide + y
    return _reshaped(y, shape_of(x))


def _write_block(x: Any, y: Any, plan: Plan, op: str) -> Any:
    sliced = plan.sliced
    if all(s == 1 or n == 1 for s, n in zip(plan.step, sliced, strict=True)):
        return dynamic_update_slice_p.bind(x, y, *map(np.int64, plan.start), op=op)
    axes = tuple(i for i, n in enumerate(sliced) if n != plan.base[i])
    mesh = np.ix_(*[np.arange(plan.start[a], plan.stop[a], plan.step[a]) for a in axes])
    order = axes + tuple(i for i in range(len(sliced)) if i not in axes)
    return scatter(x, _transposed(y, order), mesh, axes, op, "promise_in_bounds", unique=True)


# --- updates --------------------------------------------------------------------------------------


class at:
    """Updates of elements of an array, as a new array: `at(x)[index].set(v)`.

    `at(x)[index]` has the methods `set`, `add`, `subtract`, `multiply`, `divide`, `power`, `min`,
    `max`, `apply` and `get`. A known index that is out of bounds is an error; an update at a traced
    one is dropped (see `mode`). Where an index occurs twice, `set` keeps the last value and the
    others accumulate.

    Args:
        x: an array; it is not changed.

    >>> x = np.array([1.0, 2.0, 3.0])
    >>> at(x)[0].set(10.0)
    array([10.,  2.,  3.])
    >>> at(x)[[1, 1]].add(1.0)
    array([1., 4., 3.])
    """

    __slots__ = ("array",)

    def __init__(self, x: Any) -> None:
        self.array = as_array(x)

    def __getitem__(self, index: Any) -> Elements:
        return Elements(self.array, index)

    def __repr__(self) -> str:
        return f"at({self.array!r})"


class Elements:
    """Some elements of an array, about to be read or updated; see `at`.

    Every method takes, as in JAX:

    - `mode`: what happens at indices out of bounds. "fill" and "drop" (an update is dropped, a read
      gives `fill_value`), "clip" (the nearest element), "promise_in_bounds" (there are none). By
      default known indices are checked, traced ones drop updates and clamp reads.
    - `indices_are_sorted`, `unique_indices`: promises about the indices.
    """

    __slots__ = ("array", "index")

    def __init__(self, array: Any, index: Any) -> None:
        self.array = array
        self.index = index

    def __repr__(self) -> str:
        return f"at({self.array!r})[{self.index!r}]"

    def get(
        self,
        *,
        mode: str | None = None,
        fill_value: Any = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        """The elements; `fill_value` (nan, or an extreme integer) is for mode "fill".

        >>> at(np.arange(3.0))[np.array([1, 5])].get(mode="fill", fill_value=-1.0)
        array([ 1., -1.])
        """
        x = self.array
        if fill_value is not None and mode is None:
            mode = "fill"
        if mode is None:
            return getitem(x, self.index)
        how = mode_of(mode, READ_MODES)
        fill = fill_as_scalar(fill_value, dtype_of(x)) if how == "fill" else None
        return read(x, parse(shape_of(x), self.index, how == "promise_in_bounds"), how, fill)

    def set(
        self,
        values: Any,
        *,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        """The array with `values` (broadcast, cast to its dtype) as these elements."""
        return self._update("set", values, mode, unique_indices)

    def add(
        self,
        values: Any,
        *,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        """The array with `values` added to these elements, once for every occurrence."""
        return self._update("add", values, mode, unique_indices)

    def subtract(
        self,
        values: Any,
        *,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        """The array with `values` subtracted from these elements, once for every occurrence."""
        return self._update("add", -self._cast(values), mode, unique_indices)

    def multiply(
        self,
        values: Any,
        *,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        """The array with these elements multiplied by `values`, once for every occurrence."""
        return self._update("mul", values, mode, unique_indices)

    mul = multiply

    def divide(
        self,
        values: Any,
        *,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        """The array with these elements divided by `values`; a float array, as from `/`."""
        return self.array / self._factors(values, mode, unique_indices)

    def power(
        self,
        values: Any,
        *,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        """The array with these elements raised to the power of `values`."""
        return self.array ** self._factors(values, mode, unique_indices)

    def min(
        self,
        values: Any,
        *,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        """The array with the lesser of these elements and `values` in their place."""
        return self._update("min", values, mode, unique_indices)

    def max(
        self,
        values: Any,
        *,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        """The array with the greater of these elements and `values` in their place."""
        return self._update("max", values, mode, unique_indices)

    def apply(
        self,
        function: Callable[[Any], Any],
        *,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        """The array with function(elements) in place of the elements.

        The function is applied once to an element that the index names more than once.
        """
        old = self.get(mode=mode)
        return self._update("set", function(old), mode, unique_indices)

    def _cast(self, values: Any) -> Any:
        """The values in the array's dtype; DTypeError if that would drop an imaginary part."""
        values, dtype = as_array(values), dtype_of(self.array)
        if aval_of(values).dtype.kind == "c" and dtype.kind != "c":
            raise DTypeError(
                f"complex values cannot be written into an array of dtype {dtype}.\n"
                "  Convert the array with x.astype(complex), or take values.real."
            )
        return to_dtype(values, dtype)

    def _factors(self, values: Any, mode: str | None, unique: bool) -> Any:
        """An array of ones, multiplied by the values: what the elements are divided by."""
        values = as_array(values)
        ones = np.ones(shape_of(self.array), dtype_of(values))
        return Elements(ones, self.index)._update("mul", values, mode, unique)

    def _update(self, op: str, values: Any, mode: str | None, unique: bool) -> Any:
        x, index, values = self.array, self.index, self._cast(values)
        if mode is None:
            if not (has_traced_index(index) or type(x) is Tracer or type(values) is Tracer):
                return _update_with_numpy(np.array(x), index, op, values)
            mask = _whole_traced_mask(index, x)
            if mask is not None and shape_of(values) == ():
                return _update_where(mask, strong(x), op, values)
        how = "drop" if mode is None else mode_of(mode, WRITE_MODES)
        plan = parse(shape_of(x), index, mode is None or how == "promise_in_bounds")
        return write(strong(x), plan, op, values, how, unique)


def write(x: Any, plan: Plan, op: str, values: Any, mode: str, unique: bool) -> Any:
    """x with values written, or combined by `op`, where a plan names elements.

    Raises:
        ShapeError: values do not broadcast to the shape of these elements.
    """
    values = _to_updates(values, plan, shape_of(x))
    if plan.axes and plan.whole and not plan.flipped and not plan.dropped:
        wide = _reshaped(x, plan.base)
        return _reshaped(_scattered(wide, plan, op, values, mode, unique), shape_of(x))
    if not plan.axes and op in ("set", "add"):
        return put_slices(x, values, plan, op)
    old = take_slices(x, plan)
    if plan.axes:
        part = _scattered(old, plan, op, values, mode, unique)
    else:
        part = _combine(op, old, values)
    return put_slices(x, part, plan, "set")


def _scattered(x: Any, plan: Plan, op: str, values: Any, mode: str, unique: bool) -> Any:
    mode = "promise_in_bounds" if plan.in_bounds else mode
    unique = unique or plan.is_unique()
    return scatter(x, values, plan.indices, plan.axes, op, mode, unique)


def _to_updates(values: Any, plan: Plan, shape: tuple[int, ...]) -> Any:
    """Values broadcast to the shape that the plan reads, and brought to the scatter's order."""
    got = shape_of(values)
    # as in NumPy's assignment, superfluous leading axes of extent one may be there
    surplus = max(0, len(got) - len(plan.shape))
    fits = all(n == 1 for n in got[:surplus]) and all(
        n in (1, m) for n, m in zip(reversed(got[surplus:]), reversed(plan.shape), strict=False)
    )
    if not fits:
        raise _misfit(got, plan.shape, shape)
    values = _reshaped(values, got[surplus:])
    if shape_of(values) != plan.shape:
        values = broadcast_p.bind(values, shape=plan.shape)
    if not plan.axes:
        return _reshaped(values, plan.kept)
    rest, lead, at = [plan.kept[i] for i in plan.rest], plan.lead, plan.position
    values = _reshaped(values, (*rest[:at], *lead, *rest[at:]))
    inner = range(at, at + len(lead))
    outer = [i for i in range(len(rest) + len(lead)) if i not in inner]
    return _transposed(values, (*inner, *outer))


def _misfit(got: tuple[int, ...], selected: tuple[int, ...], shape: tuple[int, ...]) -> ShapeError:
    return ShapeError(
        f"values of shape {got} do not broadcast to the {selected} that the index selects "
        f"from an array of shape {shape}."
    )


def _combine(op: str, old: Any, values: Any) -> Any:
    if op == "add":
        return old + values
    if op == "mul":
        return old * values
    return (min_p if op == "min" else max_p).bind(old, values)


_UFUNC = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def _update_with_numpy(out: np.ndarray, index: Any, op: str, values: Any) -> np.ndarray:
    """The update of a copy, where nothing is traced."""
    try:
        if op == "set":
            out[index] = values
        else:
            _UFUNC[op].at(out, index, values)
    except IndexError as error:
        raise IndexingError(f"{error}.") from None
    except ValueError:
        raise _misfit(shape_of(values), out[index].shape, out.shape) from None
    return out


def _whole_traced_mask(index: Any, x: Any) -> Any:
    """The index, if it is a boolean tracer without value over the leading axes of x."""
    if type(index) is tuple and len(index) == 1:
        index = index[0]
    if type(index) is not Tracer or index.dtype != np.bool_ or index.value is not UNKNOWN:
        return None
    ndim = index.ndim
    return index if ndim and index.shape == shape_of(x)[:ndim] else None


def _update_where(mask: Any, x: Any, op: str, value: Any) -> Any:
    """The update with one scalar of all elements under a traced mask."""
    mask = _reshaped(mask, (*mask.shape, *(1,) * (len(shape_of(x)) - mask.ndim)))
    return select_p.bind(mask, value if op == "set" else _combine(op, x, value), x)


def strong(x: Any) -> Any:
    """x as a strongly typed array value: what an update of a Python scalar starts from."""
    return convert(x, aval_of(x).dtype) if aval_of(x).weak_type else x


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    return x if shape_of(x) == shape else reshape_p.bind(x, shape=shape)


def _transposed(x: Any, order: tuple[int, ...]) -> Any:
    return x if order == tuple(range(len(order))) else transpose_p.bind(x, permutation=order)
