"""Derivatives of users' functions: jvp, vjp, linearize, grad, jacobians, hessian, hvp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.errors import TransformError
from functrans.core.program import Literal
from functrans.core.types import aval_of, dtype_of, float0, shape_of
from functrans.transforms import forward, remembered
from functrans.transforms.api import (
    Traced,
    check_callable,
    flatten_args,
    name_of,
    split_outputs,
    trace_at,
    zeros_of,
)
from functrans.transforms.linear_maps import (
    Pullback,
    Pushforward,
    match_tangents,
    owned,
    pull_back,
)
from functrans.transforms.linearize import LinearMap
from functrans.transforms.linearize import linearize as linearize_at

_SCALAR = tree.structure(0)
Argnums = int | Sequence[int]


def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> Any:
    """The value of a function and its directional derivative, by forward mode.

    Args:
        fun: a function of arrays or trees of arrays.
        primals: tuple or list of its arguments.
        tangents: of the same structure, shapes and dtypes; float0 zeros or None for integers.
        has_aux: fun returns (output, auxiliary data).

    Returns:
        (output, tangent of the output), and the auxiliary data if `has_aux`.

    Raises:
        TreeError, TransformError: tangents do not match primals (names the leaf).

    >>> import functrans as ft, functrans.numpy as fnp
    >>> y, dy = ft.jvp(fnp.sin, (0.0,), (2.0,))
    >>> float(y), float(dy)
    (0.0, 2.0)
    """
    check_callable(fun, "jvp")
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):
        raise TransformError("jvp takes tuples of primals and tangents, one entry per argument")
    traced = trace_at(fun, tuple(primals), {}, has_aux)
    ts = [None] * traced.captured_count + match_tangents(tuple(primals), tuple(tangents))
    with np.errstate(all="ignore"):
        all_outs, all_ts = forward.jvp(traced.program, traced.primals, ts, traced.known)
    outs, aux = split_outputs(traced, all_outs)
    out_ts = [
        zeros_of(aval_of(y)) if t is None else t
        for y, t in zip(outs, all_ts[: len(outs)], strict=True)
    ]
    pair = traced.flat.rebuild(outs), traced.flat.rebuild(list(map(owned, out_ts)))
    return (*pair, aux) if has_aux else pair


def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of a function, and its derivative there as a function of tangents.

    The function runs once; the returned linear function only does the linear part, and can be
    applied to many tangents, differentiated and compiled. It is a tree of the values it keeps.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> y, f_jvp = ft.linearize(lambda x: fnp.sin(x) * x, 2.0)
    >>> bool(np.isclose(f_jvp(1.0), np.cos(2.0) * 2 + np.sin(2.0)))
    True
    """
    check_callable(fun, "linearize")
    traced = trace_at(fun, primals, {}, has_aux)
    outs, aux, lin = _linearize(traced, [_differentiable(x) for x in _own(traced)])
    value = traced.flat.rebuild(outs)
    apply = Pushforward.of(lin, primals, value)
    return (value, apply, aux) if has_aux else (value, apply)


def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of a function, and the function that pulls cotangents back, by reverse mode.

    Args:
        fun: a function of arrays or trees of arrays.
        primals: its arguments.
        has_aux: fun returns (output, auxiliary data).

    Returns:
        (output, vjp function), and the auxiliary data if `has_aux`. The vjp function takes a
        cotangent of the output's structure and returns a tuple with one entry per argument. It is
        a tree of the values that it keeps, so it can be returned, or kept by a custom_vjp.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> y, pull = ft.vjp(lambda x, w: fnp.dot(x, w), np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    >>> pull(1.0)
    (array([3., 4.]), array([1., 2.]))
    """
    check_callable(fun, "vjp")
    traced = trace_at(fun, primals, {}, has_aux)
    outs, aux, lin = _linearize(traced, [_differentiable(x) for x in _own(traced)])
    value = traced.flat.rebuild(outs)
    pull = Pullback.of(lin, primals, value)
    return (value, pull, aux) if has_aux else (value, pull)


def value_and_grad(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """A function that gives both the value and the gradient of a scalar function.

    Args:
        fun: returns a real scalar (complex if `holomorphic`).
        argnums: position or positions of the arguments to differentiate.
        has_aux: fun returns (value, auxiliary data), and so does the first result.
        holomorphic: fun is a complex-differentiable function of complex arguments.
        allow_int: integer arguments are allowed and get float0 gradients.

    Returns:
        A function of the same arguments giving (value, gradient); the gradient has the structure
        of the argument, or is a tuple of such if `argnums` is a sequence.

    Raises:
        TransformError: the output is not a real scalar, an argument is not real, argnums is wrong.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> value, gradient = ft.value_and_grad(lambda x: fnp.sum(x**2))(np.array([1.0, 2.0]))
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    """
    check_callable(fun, "grad")
    name = name_of(fun)

    @wraps(fun)
    def value_and_grad_fun(*args: Any, **kwargs: Any) -> Any:
        positions = resolve_argnums(argnums, args, name)
        chosen = tuple(args[i] for i in positions)
        _check_inputs(chosen, positions, name, "grad", holomorphic, allow_int)
        of_chosen = _of_chosen(fun, args, kwargs, positions)
        traced = trace_at(of_chosen, chosen, {}, has_aux, remembered.path(fun))
        value, cts, aux = _pull_back_one(fun, traced, holomorphic)
        gradients = tree.unflatten(tree.structure(chosen), cts)
        gradient = gradients if isinstance(argnums, Sequence) else gradients[0]
        return ((value, aux), gradient) if has_aux else (value, gradient)

    return value_and_grad_fun


def grad(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """A function that gives the gradient of a scalar function; arguments as `value_and_grad`.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> float(ft.grad(fnp.tanh)(0.0))
    1.0
    >>> float(ft.grad(ft.grad(lambda x: x**3))(2.0))
    12.0
    """
    both = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int)

    @wraps(fun)
    def grad_fun(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return grad_fun


def jacfwd(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The Jacobian, column by column in forward mode: for few inputs and many outputs.

    Entry shapes are output shape + input shape; trees nest output outside input.

    >>> import functrans as ft
    >>> ft.jacfwd(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    from functrans.transforms.vmap import vmap

    check_callable(fun, "jacfwd")

    @wraps(fun)
    def jacobian_fun(*args: Any, **kwargs: Any) -> Any:
        positions = resolve_argnums(argnums, args, name_of(fun))
        chosen = tuple(args[i] for i in positions)
        _check_inputs(chosen, positions, name_of(fun), "jacfwd", holomorphic, False)
        partial_fun = _of_chosen(fun, args, kwargs, positions)
        result = linearize(partial_fun, *chosen, has_aux=has_aux)
        value, push = result[0], result[1]
        _check_outputs(value, name_of(fun), "jacfwd", holomorphic, forward=True)
        columns = vmap(push, out_axes=-1)(*_basis(chosen))
        jacobian = tree.map(lambda y: _unravel_inputs(y, chosen, positions, argnums), columns)
        return (jacobian, result[2]) if has_aux else jacobian

    return jacobian_fun


def jacrev(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """The Jacobian, row by row in reverse mode: for many inputs and few outputs.

    >>> import functrans as ft
    >>> ft.jacrev(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    from functrans.transforms.vmap import vmap

    check_callable(fun, "jacrev")

    @wraps(fun)
    def jacobian_fun(*args: Any, **kwargs: Any) -> Any:
        positions = resolve_argnums(argnums, args, name_of(fun))
        chosen = tuple(args[i] for i in positions)
        _check_inputs(chosen, positions, name_of(fun), "jacrev", holomorphic, allow_int)
        partial_fun = _of_chosen(fun, args, kwargs, positions)
        result = vjp(partial_fun, *chosen, has_aux=has_aux)
        value, pull = result[0], result[1]
        _check_outputs(value, name_of(fun), "jacrev", holomorphic, forward=False)
        rows = vmap(lambda ct: tree.map(_without_float0, pull(ct)))(_basis(value))
        single = isinstance(argnums, int | np.integer)
        jacobian = _unravel_outputs(rows, value, chosen, single)
        return (jacobian, result[2]) if has_aux else jacobian

    return jacobian_fun


def hessian(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The matrix of second derivatives: forward mode over reverse mode.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> ft.hessian(lambda x: fnp.sum(x**3))(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacfwd(
        jacrev(fun, argnums, has_aux=has_aux, holomorphic=holomorphic),
        argnums,
        has_aux=has_aux,
        holomorphic=holomorphic,
    )


def hvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The product of the Hessian of a scalar function with a vector, without the matrix.

    Args:
        fun: a scalar function.
        primals: tuple of its arguments; the Hessian is with respect to the first.
        tangents: tuple of directions, one per argument.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> ft.hvp(lambda x: fnp.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),))
    array([ 6., 12.])
    """
    return jvp(grad(fun), primals, tangents)[1]


# --- arguments, tangents, cotangents --------------------------------------------------------------


def resolve_argnums(argnums: Argnums, args: tuple, name: str) -> tuple[int, ...]:
    """Non-negative positions; TransformError if one is not an argument of this call."""
    positions = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
    for i in positions:
        if not isinstance(i, int | np.integer):
            raise TransformError(f"argnums must be an int or a sequence of ints, got {argnums!r}")
        if not -len(args) <= i < len(args):
            raise TransformError(
                f"argnums={argnums!r} names argument {i}, but {name} was called with {len(args)} "
                "positional arguments (keyword arguments cannot be differentiated)."
            )
    resolved = tuple(int(i) % len(args) for i in positions)
    if len(set(resolved)) != len(resolved):
        raise TransformError(f"argnums={argnums!r} names an argument twice.")
    return resolved


def _own(traced: Traced) -> list[Any]:
    return traced.primals[traced.captured_count :]


def _differentiable(x: Any) -> bool:
    return dtype_of(x).kind in "fc"


def _linearized(traced: Traced, nonzero: list[bool]) -> tuple[list[Any], LinearMap]:
    """The results of the Program, and its derivative with respect to its own arguments."""
    mask = [False] * traced.captured_count + nonzero
    with np.errstate(all="ignore"):
        return linearize_at(traced.program, traced.primals, mask, traced.known)


def _linearize(traced: Traced, nonzero: list[bool]) -> tuple[list[Any], Any, LinearMap]:
    results, linear = _linearized(traced, nonzero)
    outs, aux = split_outputs(traced, results)
    return outs, aux, linear


def _pull_back_one(fun: Any, traced: Traced, holomorphic: bool) -> tuple[Any, list[Any], Any]:
    """The value of a scalar function, the cotangents of its arguments, auxiliary data."""
    own = _own(traced)
    mask = [_differentiable(x) for x in own]
    results, linear = _known_results(traced), None
    if results is None:
        results, linear = _linearized(traced, mask)
    outs, aux = split_outputs(traced, results)
    value = traced.flat.rebuild(outs)
    _check_scalar(name_of(fun), value, holomorphic)
    seed = dtype_of(outs[0]).type(1)
    with np.errstate(all="ignore"):
        cts = remembered.gradient(fun, traced, tuple(mask), seed) if linear is None else None
        if cts is None:
            linear = linear or _linearized(traced, mask)[1]
            cts = pull_back(linear, [seed], list(map(aval_of, own)))
    return value, cts, aux


def _known_results(traced: Traced) -> list[Any] | None:
    """The results of a trace with values; None if an effect waits for the run of its Program."""
    known, atoms = traced.known, traced.program.outputs
    if known is None or not all(type(a) is Literal or a in known for a in atoms):
        return None
    return [a.value if type(a) is Literal else known[a] for a in atoms]


def _of_chosen(
    fun: Callable[..., Any], args: tuple, kwargs: dict[str, Any], positions: tuple[int, ...]
) -> Callable[..., Any]:
    """The function of the chosen arguments alone, the others as they are."""

    def of_chosen(*chosen: Any) -> Any:
        full = list(args)
        for i, x in zip(positions, chosen, strict=True):
            full[i] = x
        return fun(*full, **kwargs)

    of_chosen.__name__ = name_of(fun)
    return of_chosen


def _check_inputs(
    chosen: tuple, positions: tuple, name: str, transform: str, holomorphic: bool, allow_int: bool
) -> None:
    real = ("f" if transform == "jacfwd" else "fc") + ("biu" if allow_int else "")
    kinds = "c" if holomorphic else real
    for i, argument in zip(positions, chosen, strict=True):
        leaves, _ = flatten_args(argument, f"argument {i}")
        if all(dtype_of(x).kind in kinds for x in leaves):
            continue
        path, x = _first_of_other_kinds(argument, kinds)
        what = f"argument {i}{path} of {name} is {aval_of(x)}"
        if dtype_of(x).kind in "biu" and not allow_int:
            raise TransformError(
                f"{transform} differentiates with respect to real numbers, but {what}. Pass "
                f"floats (x.astype(float)), choose other argnums, or set allow_int=True."
            )
        if holomorphic:
            raise TransformError(f"holomorphic=True needs complex arguments, but {what}.")
        raise TransformError(
            f"jacfwd differentiates with respect to real numbers, but {what}; "
            "set holomorphic=True if the function is."
        )


def _first_of_other_kinds(value: Any, kinds: str) -> tuple[str, Any]:
    """The first leaf whose dtype is of none of these kinds, and its path."""
    leaves = tree.named_leaves(value)
    return next(leaf for leaf in leaves if dtype_of(leaf[1]).kind not in kinds)


def _check_outputs(value: Any, name: str, transform: str, holomorphic: bool, forward: bool) -> None:
    kinds = "c" if holomorphic else "fc" if forward else "f"
    if all(dtype_of(y).kind in kinds for y in tree.leaves(value)):
        return
    path, y = _first_of_other_kinds(value, kinds)
    if holomorphic:
        raise TransformError(f"holomorphic=True needs complex outputs, {name}{path} is real.")
    if dtype_of(y).kind in "biu":
        raise TransformError(
            f"{transform} differentiates floats, but output{path} of {name} is {aval_of(y)}. "
            "Return it beside them, as auxiliary data (has_aux=True)."
        )
    raise TransformError(
        f"{transform} needs real outputs, but output{path} of {name} is {aval_of(y)}; "
        "set holomorphic=True for a holomorphic function, or return real numbers."
    )


def _check_scalar(name: str, value: Any, holomorphic: bool) -> None:
    leaves, structure = tree.flatten(value)
    if structure != _SCALAR:
        raise TransformError(
            f"grad needs {name} to return one scalar, got {type(value).__name__} with "
            f"{len(leaves)} leaves. Use has_aux=True for (value, extra data), or jacrev."
        )
    aval = aval_of(leaves[0])
    if aval.shape:
        raise TransformError(
            f"grad needs {name} to return a scalar, got {aval}. Sum it (fnp.sum), or use jacrev "
            "or vjp for a function with many outputs."
        )
    if aval.dtype.kind == "c" and not holomorphic:
        raise TransformError(
            f"grad needs {name} to return a real number, got {aval}. Return x.real or abs(x), or "
            "set holomorphic=True if the function is holomorphic."
        )
    if aval.dtype.kind != ("c" if holomorphic else "f"):
        raise TransformError(
            f"grad needs {name} to return a {'complex' if holomorphic else 'real'} floating-point "
            f"scalar, got {aval}."
        )


# --- jacobians ------------------------------------------------------------------------------------


def _basis(value: Any) -> Any:
    """The unit vectors of a tree of arrays, stacked along a leading axis."""
    leaves, treedef = tree.flatten(value)
    total = sum(aval_of(x).size for x in leaves)
    parts, offset = [], 0
    for x in leaves:
        aval = aval_of(x)
        part = np.eye(total, aval.size, k=-offset, dtype=aval.dtype)
        parts.append(part.reshape(total, *aval.shape))
        offset += aval.size
    return tree.unflatten(treedef, parts)


def _pieces(x: Any, like: Sequence[Any], axis: int) -> list[Any]:
    """x cut along an axis of all leaves' elements into one piece per leaf, in the leaf's shape."""
    from functrans.primitives.shaping import reshape_p, slice_axis

    pieces, begin = [], 0
    shape = shape_of(x)
    for leaf in like:
        aval = aval_of(leaf)
        piece = slice_axis(x, axis, begin, begin + aval.size)
        new_shape = (*shape[:axis], *aval.shape, *shape[axis + 1 :])
        pieces.append(reshape_p.bind(piece, shape=new_shape))
        begin += aval.size
    return pieces


def _unravel_inputs(y: Any, chosen: tuple, positions: tuple, argnums: Argnums) -> Any:
    leaves, treedef = tree.flatten(chosen)
    parts = tree.unflatten(treedef, _pieces(y, leaves, len(shape_of(y)) - 1))
    return parts[0] if isinstance(argnums, int | np.integer) else parts


def _without_float0(x: Any) -> Any:
    """What stands for a float0 array in a Program, which has none."""
    return np.zeros(x.shape, np.bool_) if dtype_of(x) == float0 else x


def _unravel_outputs(rows: Any, value: Any, chosen: tuple, single: bool) -> Any:
    out_leaves, out_tree = tree.flatten(value)
    row_leaves, in_tree = tree.flatten(rows)
    pieces = [_pieces(r, out_leaves, 0) for r in row_leaves]
    for i, x in enumerate(tree.leaves(chosen)):
        if not _differentiable(x):
            pieces[i] = [np.zeros(shape_of(p), float0) for p in pieces[i]]
    entries = []
    for j in range(len(out_leaves)):
        entry = tree.unflatten(in_tree, [p[j] for p in pieces])
        entries.append(entry[0] if single else entry)
    return tree.unflatten(out_tree, entries)
