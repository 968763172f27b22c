"""Python functions of arrays as kernels of a schedule."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.compiler import calls, runtime

ShapeAndDtype = tuple[tuple[int, ...], np.dtype]

_raised = threading.local()
_kernels: dict[int, Any] = {}
"""Python kernels by address; see `release`."""


def python_kernel(
    fun: Callable[..., Sequence[Any]],
    in_specs: Sequence[ShapeAndDtype],
    out_specs: Sequence[ShapeAndDtype],
    copy_inputs: bool = False,
    in_place: bool = False,
) -> int:
    """The address of a kernel that calls a Python function on its first buffers as arrays, and
    copies the results to the buffers after these.

    An exception stops the schedule with status RAISED; `take_exception` gives it.

    Args:
        fun: called as `fun(*inputs)`, with the GIL; gives one result per output.
        in_specs, out_specs: shape and dtype of each buffer.
        copy_inputs: whether fun gets arrays of its own. Otherwise they are read-only views of
            memory that is used again after the call, so fun must not keep them.
        in_place: fun is called as `fun(*inputs, *outputs)`, and changes the outputs.
    """
    ins, outs = _canonical(in_specs), _canonical(out_specs)
    kernel = runtime.KERNEL_TYPE(_body(fun, ins, outs, copy_inputs, in_place))
    address = ctypes.cast(kernel, ctypes.c_void_p).value
    assert address is not None
    _kernels[address] = (kernel, ins, outs)  # the native side has only the addresses of dtypes
    return address


def release(address: int) -> None:
    """Forget a Python kernel that no schedule has any more."""
    _kernels.pop(address, None)


def take_exception() -> BaseException:
    """What the last function that failed in this thread raised."""
    error, _raised.error = getattr(_raised, "error", None), None
    return error or RuntimeError("a kernel failed without saying why")


def _canonical(specs: Sequence[ShapeAndDtype]) -> list[ShapeAndDtype]:
    return [(tuple(shape), np.dtype(dtype)) for shape, dtype in specs]


def _body(
    fun: Callable[..., Sequence[Any]],
    ins: list[ShapeAndDtype],
    outs: list[ShapeAndDtype],
    copy_inputs: bool,
    in_place: bool,
) -> Callable[[int, int, int, int], int]:
    views = _views([*ins, *outs], len(ins))
    n = len(ins)

    def body(bufs: int, ints: int, lo: int, hi: int) -> int:
        try:
            arrays = views(bufs)
            if in_place:
                fun(*arrays)
                return 0
            inputs = [x.copy() for x in arrays[:n]] if copy_inputs else arrays[:n]
            results = fun(*inputs)
            for target, result in zip(arrays[n:], results, strict=True):
                _store(target, result, fun)
        except BaseException as error:  # native code lies between here and the caller
            _raised.error = error
            return runtime.RAISED
        return 0

    return body


def _store(target: np.ndarray, result: Any, fun: Any) -> None:
    array = np.asarray(result)
    if array.shape != target.shape:
        name = getattr(fun, "__name__", "the function")
        raise ValueError(
            f"{name} was to return an array of shape {target.shape}, got {array.shape}"
        )
    np.copyto(target, array, casting="same_kind")


def _views(specs: list[ShapeAndDtype], inputs: int) -> Callable[[int], list[np.ndarray]]:
    """The function that makes arrays of a kernel's buffers, the inputs read-only."""
    if calls.layout_is_known():
        return runtime.native_function("ft_views", calls.view_plan(specs, inputs))

    def slow(bufs: int) -> list[np.ndarray]:
        pointers = (ctypes.c_int64 * len(specs)).from_address(bufs or 0) if specs else ()
        arrays = [calls.view_at(p, *spec) for p, spec in zip(pointers, specs, strict=True)]
        for x in arrays[:inputs]:
            x.flags.writeable = False
        return arrays

    return slow
