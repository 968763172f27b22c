"""Loops: scan, while_loop, fori_loop, map, over functions and trees, as in `jax.lax`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from functrans.core import tree
from functrans.core.errors import DTypeError, ShapeError, TransformError
from functrans.core.trace import UNKNOWN, Tracer
from functrans.core.types import Aval, aval_of, described, dtype_of, result_dtype, shape_of
from functrans.lax.bodies import (
    Body,
    check_carry_tree,
    check_positive,
    check_scalar,
    paths,
    promoted_carry,
    trace_body,
    typed,
)
from functrans.primitives.arithmetic import convert, lt_p
from functrans.primitives.loops import scan_p
from functrans.primitives.shaping import concatenate_p, reshape_p, slice_axis
from functrans.primitives.while_loops import while_p
from functrans.transforms.api import check_callable, flatten_args, name_of
from functrans.transforms.vmap import vmap


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    *,
    checkpoint: int | None = None,
) -> tuple[Any, Any]:
    """A loop over the leading axis of `xs` that carries a state; differentiable in both modes.

    Args:
        f: (carry, x) → (new carry, y). Traced once, without values.
        init: the first carry, a tree of arrays. Python scalars take the dtype that f gives them.
        xs: a tree of arrays of one leading extent; f gets their slices. None for none.
        length: the number of steps, needed if xs is None.
        reverse: go from the last slice to the first.
        unroll: how many steps the compiler may put in one iteration.
        checkpoint: in reverse mode, keep so many carries and compute the others again, instead of
            keeping what the backward pass reads of every step. With k carries, C(k + r, k) steps
            run forward r times at most (Griewank & Walther, Revolve, ACM TOMS 26, 2000).

    Returns:
        (last carry, ys), the ys stacked along a leading axis.

    Raises:
        ShapeError, DTypeError, TreeError: f changes the type of the carry (names the leaf), or
            the xs differ in length.

    >>> import numpy as np
    >>> from functrans import lax
    >>> total, sums = lax.scan(lambda c, x: (c + x, c + x), 0.0, np.array([1.0, 2.0, 3.0]))
    >>> float(total), sums
    (6.0, array([1., 3., 6.]))
    """
    check_callable(f, "scan")
    names = [f"carry{path}" for path in paths(init)]
    body = _pair_checked(f)
    return _scan("scan", body, init, names, xs, length, reverse, unroll, checkpoint)


def _scan(
    name: str,
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    names: Sequence[str],
    xs: Any,
    length: int | None,
    reverse: bool = False,
    unroll: int | bool = 1,
    checkpoint: int | None = None,
) -> tuple[Any, Any]:
    """`scan` for what is one inside: errors call it `name`, and what is carried by `names`."""
    _check_checkpoint(checkpoint, name)
    if type(unroll) is not bool:
        check_positive(unroll, f"{name}'s unroll is how many steps go in one iteration")
    init_leaves, _ = flatten_args(init, f"{name}'s init")
    x_leaves, _ = flatten_args(xs, f"{name}'s xs")
    count = _length(name, xs, x_leaves, length)
    x_avals = [_slice_aval(aval_of(x)) for x in x_leaves]
    in_tree = tree.structure(((init, xs), {}))
    body, avals = _trace_carrying(f, names, init_leaves, in_tree, x_avals)
    carry = [typed(x, a) for x, a in zip(init_leaves, avals, strict=True)]
    outs = scan_p.bind(
        *body.captured,
        *carry,
        *x_leaves,
        program=body.program,
        num_consts=len(body.captured),
        num_carry=len(carry),
        length=count,
        reverse=bool(reverse),
        unroll=max(1, count if unroll is True else int(unroll)),
        checkpoint=checkpoint,
    )
    return tree.unflatten(body.out_tree, list(outs))


def _length(name: str, xs: Any, leaves: list[Any], length: int | None) -> int:
    """The number of steps; ShapeError if the xs do not have one leading extent."""
    sizes: dict[int, str] = {}
    for path, x in zip(paths(xs), leaves, strict=True):
        aval = aval_of(x)
        if not aval.shape:
            raise ShapeError(f"{name}'s xs{path} is {aval}, which has no axis to loop over.")
        sizes.setdefault(aval.shape[0], f"xs{path} is {aval}")
    if length is not None:
        try:
            sizes.setdefault(int(length.__index__()), f"length is {length}")
        except AttributeError:
            raise TransformError(f"{name}'s length must be an int, got {length!r}.") from None
    if len(sizes) > 1:
        shown = "; ".join(sizes.values())
        raise ShapeError(f"{name} needs xs of one leading extent: {shown}.")
    if not sizes:
        cure = ", or length= if there are none" if name == "scan" else ""
        raise TransformError(f"{name} needs xs with an array in it{cure}.")
    (count,) = sizes
    if count < 0:
        raise TransformError(f"{name}'s length must not be negative, got {count}.")
    return count


def _check_checkpoint(checkpoint: Any, name: str) -> None:
    if checkpoint is not None:
        check_positive(checkpoint, f"{name}'s checkpoint is how many carries reverse mode keeps")


def _slice_aval(aval: Aval) -> Aval:
    return aval.update(shape=aval.shape[1:])


def _pair_checked(f: Callable[..., Any]) -> Callable[..., Any]:
    def body(carry: Any, x: Any) -> Any:
        result = f(carry, x)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TransformError(
                f"scan's body {name_of(f)} must return a pair (carry, y), got "
                f"{described(result)}.\n  Return (carry, None) if there is nothing to stack."
            )
        check_carry_tree("carry", carry, result[0])
        return result

    body.__name__ = name_of(f)
    return body


def _trace_carrying(
    f: Callable[..., Any],
    names: Sequence[str],
    leaves: list[Any],
    in_tree: tree.TreeDef,
    more: list[Aval],
) -> tuple[Body, list[Aval]]:
    """Trace a body until its carry comes out as it goes in; the second time with weak parts of
    the initial carry promoted to what the body makes of them."""
    avals = [aval_of(x) for x in leaves]
    while True:
        body = trace_body(f, in_tree, [*avals, *more])
        after = list(body.program.out_avals[: len(avals)])
        promoted = promoted_carry(names, avals, after)
        if promoted == avals:
            return body, avals
        avals = promoted


def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    *,
    checkpoint: int | None = None,
) -> Any:
    """Repeat `body_fun` while `cond_fun` holds; differentiable in both modes.

    Reverse mode writes down what it reads of every step.

    Args:
        cond_fun: value → scalar bool.
        body_fun: value → new value of the same structure, shapes and dtypes.
        init_val: the first value, a tree of arrays.
        checkpoint: how many values the backward pass keeps; None for what it reads of all steps,
            up to 512 MiB at a time.

    Returns:
        The first value for which `cond_fun` is false.

    Raises:
        ShapeError, DTypeError, TreeError: the condition is not a scalar bool, or the body changes
            the type of the value (names the leaf).

    >>> from functrans import lax
    >>> int(lax.while_loop(lambda n: n < 100, lambda n: n * 2, 3))
    192
    """
    check_callable(cond_fun, "while_loop")
    check_callable(body_fun, "while_loop")

    def checked(value: Any) -> Any:
        result = body_fun(value)
        check_carry_tree("value", value, result)
        return result

    checked.__name__ = name_of(body_fun)
    names = [f"value{path}" for path in paths(init_val)]
    return _while_loop("while_loop", cond_fun, checked, init_val, names, checkpoint)


def _while_loop(
    name: str,
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    names: Sequence[str],
    checkpoint: int | None,
) -> Any:
    """`while_loop` for what is one inside, as `_scan`."""
    _check_checkpoint(checkpoint, name)
    leaves, _ = flatten_args(init_val, f"{name}'s init_val")
    in_tree = tree.structure(((init_val,), {}))
    body, avals = _trace_carrying(body_fun, names, leaves, in_tree, [])
    cond = trace_body(cond_fun, in_tree, avals)
    _check_condition(cond)
    outs = while_p.bind(
        *cond.captured,
        *body.captured,
        *[typed(x, a) for x, a in zip(leaves, avals, strict=True)],
        cond_program=cond.program,
        body_program=body.program,
        cond_consts=len(cond.captured),
        body_consts=len(body.captured),
        checkpoint=checkpoint,
    )
    return tree.unflatten(body.out_tree, list(outs))


def _check_condition(cond: Body) -> None:
    if cond.out_tree != tree.structure(0):
        raise TransformError(
            f"while_loop's condition {cond.name} must return one scalar bool, got {cond.result}.\n"
            "  Combine several with & and |."
        )
    (aval,) = cond.program.out_avals
    if aval.shape:
        raise ShapeError(
            f"while_loop's condition {cond.name} must return a scalar bool, got {aval}.\n"
            "  Use fnp.any or fnp.all; to loop over a batch of examples use vmap."
        )
    if aval.dtype.kind != "b":
        raise DTypeError(
            f"while_loop's condition {cond.name} must return a scalar bool, got {aval}.\n"
            "  Write the comparison out (x != 0)."
        )


def fori_loop(
    lower: Any,
    upper: Any,
    body_fun: Callable[[Any, Any], Any],
    init_val: Any,
    *,
    unroll: int | bool | None = None,
    checkpoint: int | None = None,
) -> Any:
    """`for i in range(lower, upper): val = body_fun(i, val)`.

    With bounds that are known when the function is traced it is a `scan`, with traced bounds a
    `while_loop`; both are differentiable in both modes.

    Args:
        lower: an integer; the first i.
        upper: an integer; the loop stops before it.
        body_fun: (i, value) → new value of the same structure, shapes and dtypes.
        init_val: the first value, a tree of arrays.
        unroll: how many steps the compiler may put in one iteration.
        checkpoint: how many values the backward pass keeps, see `scan` and `while_loop`.

    >>> from functrans import lax
    >>> int(lax.fori_loop(0, 5, lambda i, total: total + i, 0))
    10
    """
    check_callable(body_fun, "fori_loop")
    for what, bound in (("lower", lower), ("upper", upper)):
        check_scalar(bound, f"fori_loop's {what}", "iu", "an integer")
    first, last = _known_int(lower), _known_int(upper)

    def step(carry: tuple, _: Any) -> tuple:
        i, value = carry
        result = body_fun(i, value)
        check_carry_tree("value", value, result)
        return (i + 1, result), None

    step.__name__ = name_of(body_fun)
    names = ["the counter", *[f"value{path}" for path in paths(init_val)]]
    if first is not None and last is not None:
        # the counter is weak, as the ints of a Python loop are, so that it promotes nothing
        count = max(0, last - first)
        start = (first, init_val)
        steps = 1 if unroll is None else unroll
        return _scan("fori_loop", step, start, names, None, count, False, steps, checkpoint)[0][1]
    dtype = result_dtype(dtype_of(lower), dtype_of(upper))
    if type(lower) is not Tracer or type(upper) is not Tracer:
        dtype = dtype_of(lower if type(lower) is Tracer else upper)
    begin, end = (convert(x, dtype) for x in (lower, upper))
    goes_on = lambda carry: lt_p.bind(carry[0], end)
    body = lambda carry: step(carry, None)[0]
    return _while_loop("fori_loop", goes_on, body, (begin, init_val), names, checkpoint)[1]


def _known_int(x: Any) -> int | None:
    """The value of an integer that is known now; under grad outside jit also a tracer's."""
    if type(x) is Tracer:
        return None if x.value is UNKNOWN else int(x)
    return int(x)


def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """Apply a function to the slices of arrays one after the other, and stack the results.

    Args:
        f: a function of one slice.
        xs: a tree of arrays of one leading extent.
        batch_size: how many slices to do at once (with vmap); one by default.

    >>> import numpy as np
    >>> from functrans import lax
    >>> lax.map(lambda x: x * 2, np.array([1.0, 2.0]))
    array([2., 4.])
    """
    check_callable(f, "map")
    if batch_size is None:
        return _scan("map", lambda _, x: ((), f(x)), (), [], xs, None)[1]
    check_positive(batch_size, "map's batch_size is how many slices to do at once")
    leaves, treedef = flatten_args(xs, "map's xs")
    count = _length("map", xs, leaves, None)
    whole = count // batch_size
    cut = whole * batch_size
    batched_f = vmap(f)
    main = [
        reshape_p.bind(slice_axis(x, 0, 0, cut), shape=(whole, batch_size, *shape_of(x)[1:]))
        for x in leaves
    ]
    step = lambda _, x: ((), batched_f(x))
    done = _scan("map", step, (), [], tree.unflatten(treedef, main), None)[1]
    done = tree.map(lambda y: reshape_p.bind(y, shape=(cut, *shape_of(y)[2:])), done)
    if cut == count:
        return done
    rest = batched_f(tree.unflatten(treedef, [slice_axis(x, 0, cut, count) for x in leaves]))
    return tree.map(lambda a, b: concatenate_p.bind(a, b, axis=0), done, rest)


__all__ = ["fori_loop", "map", "scan", "while_loop"]
