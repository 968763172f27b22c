"""`vectorize`: a function of scalars, or of arrays of some core rank, broadcast by `vmap`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.types import aval_of, shape_of
from functrans.numpy.manipulation import reshape, strong

Core = list[tuple[str, ...]]


def vectorize(
    pyfunc: Callable[..., Any] | None = None,
    *,
    excluded: Sequence[int | str] | set[int | str] = (),
    signature: str | None = None,
) -> Callable[..., Any]:
    """`numpy.vectorize` as in JAX: broadcast the arguments, and run the function once for all.

    Args:
        pyfunc: a function of scalars, or of what the signature says. Without it, the result is a
            decorator.
        excluded: positions of arguments that are passed on as they are. Keyword arguments always
            are, so their names may be there and change nothing.
        signature: the axes that the function itself sees, as in "(n),(n)->()"; by default none.

    Returns:
        The function of arrays. It is traced, so it may be differentiated and compiled.

    Raises:
        ShapeError: the arguments do not broadcast, or they or the results do not have the axes of
            the signature.
        TypeError: there are more or fewer arguments than the signature has.
        ValueError: the signature is none.

    >>> import functrans.numpy as fnp
    >>> fnp.vectorize(lambda x, y: x + y)(np.arange(2.0)[:, None], np.arange(3.0)).tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    >>> fnp.vectorize(fnp.dot, signature="(n),(n)->()")(np.ones((4, 3)), np.ones(3)).tolist()
    [3.0, 3.0, 3.0, 3.0]
    """
    if pyfunc is None:
        return lambda function: vectorize(function, excluded=excluded, signature=signature)
    taken, given = _parsed(signature) if signature is not None else (None, None)

    @wraps(pyfunc)
    def function(*args: Any, **kwargs: Any) -> Any:
        fixed = [i in excluded for i in range(len(args))]
        mapped = [strong(a) for a, keep in zip(args, fixed, strict=True) if not keep]
        cores: Core = [()] * len(mapped) if taken is None else taken
        if len(cores) != len(mapped):
            raise TypeError(
                f"vectorize: {signature!r} has {len(cores)} arguments, not {len(mapped)}."
            )

        @wraps(pyfunc)
        def one(*values: Any) -> Any:
            rest = iter(values)
            full = [a if keep else next(rest) for a, keep in zip(args, fixed, strict=True)]
            out = pyfunc(*full, **kwargs)
            _check_results(out, given, signature)
            return out

        return _broadcast(one, mapped, cores, signature)

    return function


def _parsed(signature: str) -> tuple[Core, Core]:
    """The names of the core axes of the arguments and of the results."""
    sides = signature.replace(" ", "").split("->")
    part = r"\((?:\w+(?:,\w+)*)?\)"
    if len(sides) != 2 or not all(re.fullmatch(rf"{part}(?:,{part})*", s) for s in sides):
        raise ValueError(f"vectorize: {signature!r} is no signature like '(n),(n)->()'.")
    taken, given = (
        [tuple(c for c in core[1:-1].split(",") if c) for core in re.findall(part, s)]
        for s in sides
    )
    return taken, given


def _broadcast(one: Callable[..., Any], args: list[Any], cores: Core, signature: Any) -> Any:
    """`one` mapped over the leading axes of its arguments, broadcast as NumPy's are."""
    from functrans.transforms.vmap import vmap

    extents: dict[str, int] = {}
    for x, core in zip(args, cores, strict=True):
        rank = len(shape_of(x)) - len(core)
        own = shape_of(x)[max(rank, 0) :]
        if rank < 0 or any(extents.setdefault(c, n) != n for c, n in zip(core, own, strict=True)):
            types = ", ".join(str(aval_of(a)) for a in args)
            raise ShapeError(
                f"vectorize: arguments {types} do not fit the signature {signature!r}."
            )
    leads = [shape_of(x)[: len(shape_of(x)) - len(c)] for x, c in zip(args, cores, strict=True)]
    try:
        lead = np.broadcast_shapes(*leads)
    except ValueError:
        raise ShapeError(f"vectorize: leading shapes {leads} do not broadcast.") from None
    for back in range(1, len(lead) + 1):  # the last axis is mapped innermost
        has = [len(own) >= back and own[-back] == lead[-back] for own in leads]
        one = vmap(one, in_axes=tuple(0 if mapped else None for mapped in has))
    return one(*[_without_ones(x, own, lead) for x, own in zip(args, leads, strict=True)])


def _without_ones(x: Any, own: tuple[int, ...], lead: tuple[int, ...]) -> Any:
    """x without the leading axes of extent one that are broadcast."""
    full = lead[len(lead) - len(own) :]
    kept = [n for n, m in zip(own, full, strict=True) if n == m]
    return reshape(x, (*kept, *shape_of(x)[len(own) :]))


def _check_results(out: Any, given: Core | None, signature: str | None) -> None:
    """An error unless the results have as many axes each as the signature says."""
    if given is None:
        return
    results = list(out) if isinstance(out, tuple) else [out]
    if [len(shape_of(r)) for r in results] != [len(core) for core in given]:
        types = ", ".join(str(aval_of(r)) for r in results)
        raise ShapeError(f"vectorize: results {types} do not fit the signature {signature!r}.")
