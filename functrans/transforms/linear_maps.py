"""The linear functions that `linearize` and `vjp` return: trees of the values that they keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.errors import TransformError, TreeError
from functrans.core.primitive import Linear, registry
from functrans.core.program import Atom, Literal, Program, Var
from functrans.core.trace import as_value
from functrans.core.types import Aval, ShapeDtypeStruct, aval_of, float0
from functrans.transforms import transpose as transposition
from functrans.transforms.api import zeros_of
from functrans.transforms.linearize import LinearMap, Nonzero


@dataclass(frozen=True, eq=False, repr=False)
class DerivativeMap:
    """A linear map between tangents of the arguments and tangents of the output of a function.

    Attributes:
        residuals: what it keeps, the children of the tree.
        program, in_nonzero, out_nonzero: as in LinearMap.
        arguments, output: (structure, avals) of the function's arguments and of its output.
    """

    residuals: list[Any]
    program: Program
    in_nonzero: Nonzero
    out_nonzero: Nonzero
    arguments: tuple[tree.TreeDef, tuple[Aval, ...]]
    output: tuple[tree.TreeDef, tuple[Aval, ...]]

    @classmethod
    def of(cls, lin: LinearMap, arguments: Any, output: Any) -> Any:
        """The map of a linearised function, given its arguments and output."""
        ends = [
            (tree.structure(x), tuple(aval_of(leaf) for leaf in tree.leaves(x)))
            for x in (arguments, output)
        ]
        program, residuals = _without_arrays(lin)
        return cls(residuals, program, lin.in_nonzero, lin.out_nonzero, *ends)

    @property
    def __name__(self) -> str:
        return f"{type(self).__qualname__.lower()} of {self.program.name}"

    def __repr__(self) -> str:
        return f"<{self.__name__}>"

    def _linear(self) -> LinearMap:
        return LinearMap(self.program, list(self.residuals), self.in_nonzero, self.out_nonzero)


class Pushforward(DerivativeMap):
    """From tangents of the arguments to the tangent of the output."""

    def __call__(self, *tangents: Any) -> Any:
        ts = match_tangents(_like(self.arguments), tangents, keep_zero=True)
        out_tree, avals = self.output
        results = self._linear().apply([t for t in ts if t is not None])[: len(avals)]
        full = [zeros_of(a) if t is None else t for t, a in zip(results, avals, strict=True)]
        return tree.unflatten(out_tree, list(map(owned, full)))


class Pullback(DerivativeMap):
    """From a cotangent of the output to the cotangents of the arguments, a tuple."""

    def __call__(self, cotangent: Any) -> tuple:
        cts = match_cotangents(_like(self.output), cotangent)
        in_tree, avals = self.arguments
        with np.errstate(all="ignore"):
            results = pull_back(self._linear(), cts, list(avals))
        return tree.unflatten(in_tree, results)


def _without_arrays(lin: LinearMap) -> tuple[Program, list[Any]]:
    """The Program with inputs in place of its constant arrays, and all residuals.

    Outside of jit, what a linear map keeps are constants; as inputs they can be leaves, and the
    Programs of one function at different arguments are equal.
    """
    residuals = list(lin.residuals)
    inputs = list(lin.program.inputs[: len(residuals)])

    def lifted(atom: Atom) -> Atom:
        if type(atom) is not Literal or not isinstance(atom.value, np.ndarray | np.generic):
            return atom
        inputs.append(Var(atom.aval))
        residuals.append(atom.value)
        return inputs[-1]

    equations = [e.replace(list(map(lifted, e.inputs))) for e in lin.program.equations]
    inputs += lin.program.inputs[len(lin.residuals) :]
    return Program(inputs, equations, lin.program.outputs, lin.program.name), residuals


_STATIC = ("program", "in_nonzero", "out_nonzero", "arguments", "output")
for _cls in (Pushforward, Pullback):
    tree.register_dataclass(_cls, ("residuals",), _STATIC)


def _like(end: tuple[tree.TreeDef, tuple[Aval, ...]]) -> Any:
    treedef, avals = end
    return tree.unflatten(treedef, [ShapeDtypeStruct(a.shape, a.dtype) for a in avals])


# --- tangents and cotangents ----------------------------------------------------------------------


def match_tangents(primals: tuple, tangents: tuple, keep_zero: bool = False) -> list[Any]:
    """The leaves of the tangents, None for integers, checked against the primals leaf by leaf."""
    difference = _none_tolerant_difference(primals, tangents)
    if difference:
        raise TreeError(f"tangents must have the structure of the primals: {difference}")
    result: list[Any] = []
    pairs = zip(tree.named_leaves(primals), _leaves_with_none(tangents), strict=True)
    for (path, x), t in pairs:
        aval = aval_of(x)
        if aval.dtype.kind not in "fc":
            result.append(None)
            continue
        if t is None:
            result.append(zeros_of(aval) if keep_zero else None)
            continue
        result.append(_fit(as_value(t, "a tangent"), aval, f"the tangent of argument{path}"))
    return result


def match_cotangents(value: Any, cotangent: Any) -> list[Any]:
    """The leaves of a cotangent, checked against the output; None where the output is integer."""
    difference = tree.structure_difference(value, cotangent)
    if difference:
        raise TreeError(f"the cotangent must have the structure of the output: {difference}")
    result: list[Any] = []
    for (path, y), ct in zip(tree.named_leaves(value), tree.leaves(cotangent), strict=True):
        aval = aval_of(y)
        if aval.dtype.kind not in "fc" or getattr(ct, "dtype", None) == float0:
            result.append(None)
            continue
        result.append(_fit(as_value(ct, "a cotangent"), aval, f"the cotangent of output{path}"))
    return result


def _fit(t: Any, aval: Aval, what: str) -> Any:
    """A tangent with the shape and dtype of its primal; Python scalars and ints take the dtype."""
    own = aval_of(t)
    if own.shape != aval.shape:
        raise TransformError(f"{what} must have shape {aval.shape}, got {own}.")
    if own.dtype == aval.dtype and not own.weak_type:
        return t
    if own.dtype.kind in "biu" or (
        own.weak_type and (own.dtype.kind, aval.dtype.kind) != ("c", "f")
    ):
        return registry["convert"].bind(t, dtype=aval.dtype)
    raise TransformError(f"{what} must have dtype {aval.dtype}, got {own}.")


def pull_back(lin: LinearMap, cts: list[Any], own: list[Aval]) -> list[Any]:
    """Cotangents of the function's own arguments, zeros where nothing depends on them."""
    cts = cts + [None] * (len(lin.out_nonzero) - len(cts))
    out_cts = [ct for ct, n in zip(cts, lin.out_nonzero, strict=True) if n]
    tangent_avals = [v.aval for v in lin.program.inputs[len(lin.residuals) :]]
    operands = [*lin.residuals, *map(Linear, tangent_avals)]
    results = iter(transposition.transpose(lin.program, operands, out_cts)[len(lin.residuals) :])
    mine = lin.in_nonzero[len(lin.in_nonzero) - len(own) :]
    pulled = [next(results) if n else None for n in mine]
    full = [zeros_of(a.strong()) if ct is None else ct for a, ct in zip(own, pulled, strict=True)]
    return list(map(owned, full))


def owned(x: Any) -> Any:
    """An array that the caller may write to: a sum's derivative, say, is a read-only broadcast."""
    return x.copy() if type(x) is np.ndarray and not x.flags.writeable else x


def _leaves_with_none(x: Any) -> list[Any]:
    return tree.leaves(x, is_leaf=lambda leaf: leaf is None)


def _none_tolerant_difference(primals: Any, tangents: Any) -> str:
    """Structure difference in which None may stand for the tangent of any leaf."""
    if len(_leaves_with_none(tangents)) == len(tree.leaves(primals)):
        filled = tree.unflatten(tree.structure(primals), _leaves_with_none(tangents))
        if any(t is None for t in _leaves_with_none(filled)):
            return ""
    return tree.structure_difference(primals, tangents)
