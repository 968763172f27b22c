"""What is the same in every step of a loop is computed before it.

In loops that are kernels LLVM does that. In others an equation that depends on the loop's constants
alone moves in front of the loop if it is not elementwise, takes long, or would have to be an array
in every step for the sake of who reads it. What only spreads out something smaller stays. A system
a x = b, of which a alone is the same, is factorised before the loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.compiler.expansions import expanded, traced
from functrans.compiler.forms import is_elemental, is_fused, own_weight
from functrans.compiler.fuse import RECOMPUTE_LIMIT
from functrans.compiler.products import GEMM_DTYPES
from functrans.compiler.weights import WEIGHT_LIMIT, Prepared, weight
from functrans.core.effects import has_effects
from functrans.core.program import Equation, Program, Var
from functrans.core.simplify import inline_into
from functrans.core.types import dtype_of, shape_of
from functrans.primitives.arithmetic import eq_p, select
from functrans.primitives.indexing import gather
from functrans.primitives.linear_algebra import triangular_solve
from functrans.primitives.lu import lu_p, permutation_p
from functrans.primitives.parts import part_of
from functrans.primitives.reductions import reduce_or_p

LOOPS = {"scan": ("num_consts", "program"), "while_loop": ("body_consts", "body_program")}
"""By name, the parameters that say how many constants the body has, and the body."""
ALIASES = ("reshape", "broadcast", "stored")
"""What is no array of its own, or can be spread out where it is read."""
IN_CACHE = 1 << 20
"""Bytes from which an elementwise result that is larger than its operands is computed again."""
FACTORISED = 8
"""Rows from which two substitutions take less than to factorise and substitute."""


def hoist_invariants(program: Program, prepared: Prepared) -> Program:
    """The Program with invariants of its loops in front of them."""
    if all(e.primitive.name not in LOOPS for e in program.equations):
        return program
    equations: list[Equation] = []
    for equation in program.equations:
        equations += _hoisted(equation, prepared) if _is_apart(equation, prepared) else [equation]
    return Program(program.inputs, equations, program.outputs, program.name)


def _is_apart(equation: Equation, prepared: Prepared) -> bool:
    """Whether an equation is a loop of several steps with constants that is no kernel."""
    name, params = equation.primitive.name, equation.params
    if name not in LOOPS or params.get("length", 2) < 2 or not params[LOOPS[name][0]]:
        return False
    return weight(equation, prepared, outermost=True) > WEIGHT_LIMIT


def _hoisted(equation: Equation, prepared: Prepared) -> list[Equation]:
    """The invariants of a loop, and the loop that has them as constants."""
    params = equation.params
    number, program = LOOPS[equation.primitive.name]
    count, first = params[number], params.get("cond_consts", 0)
    invariants = _with_factors(_Invariants(prepared(params[program]), count), prepared)
    body, moved = invariants.body, invariants.chosen()
    if not moved:
        return [equation]
    given, after = body.inputs[:count], first + count
    before, read = part_of(body, moved, given)
    operands = dict(zip(given, equation.inputs[first:after], strict=True))
    equations: list[Equation] = []
    values = inline_into(equations, before, {v: operands[v] for v in read})
    inputs = [*given, *moved, *body.inputs[count:]]
    rest, _ = part_of(body, body.outputs, (), inputs, effects=True)
    rest.cache["prepared"] = rest
    params = {**params, number: count + len(moved), program: rest}
    arguments = [*equation.inputs[:after], *values, *equation.inputs[after:]]
    primitive, outputs = equation.primitive, equation.outputs
    return [*equations, Equation(primitive, arguments, params, outputs, equation.source)]


class _Invariants:
    """Chooses which variables of a body are to be computed before the loop.

    Attributes:
        body: a prepared Program.
        count: its first inputs are so many constants.
        known: variables that are the same in every step.
        equation: those of them that depend on constants of the loop, and how they are computed.
        cost: instructions per element of what is elementwise, from what is not.
    """

    def __init__(self, body: Program, count: int) -> None:
        self.body = body
        self.count = count
        self.known = set(body.inputs[:count])
        self.equation: dict[Var, Equation] = {}
        self.cost: dict[Any, int] = {}
        for e in body.equations:
            reads = [a for a in e.inputs if isinstance(a, Var)]
            if has_effects(e) or not self.known.issuperset(reads):
                continue
            self.known.update(e.outputs)
            if not reads:  # numbers of the program, spread out
                continue
            self.equation.update(dict.fromkeys(e.outputs, e))
            total = own_weight(e) + sum(self.cost.get(v, 0) for v in set(reads))
            self.cost.update(dict.fromkeys(e.outputs, total if is_elemental(e) else 0))

    def chosen(self) -> list[Var]:
        """In the order in which the body computes them."""
        outputs = {a for a in self.body.outputs if isinstance(a, Var)}
        needed: dict[Var, bool] = dict.fromkeys(outputs & self.equation.keys(), False)
        found: set[Var] = set()
        for e in reversed(self.body.equations):
            is_invariant = bool(e.outputs) and e.outputs[0] in self.equation
            mine = [v for v in e.outputs if v in needed]
            if is_invariant and not mine:
                continue
            as_array = not is_fused(e)
            if is_invariant and e.primitive.name in ALIASES:
                as_array = needed[mine[0]]
            elif is_invariant and outputs.isdisjoint(mine) and self._is_worth_it(e, mine, needed):
                found.update(mine)
                continue
            for atom in e.inputs:
                if isinstance(atom, Var) and atom in self.equation:
                    needed[atom] = needed.get(atom, False) or as_array
        return [v for e in self.body.equations for v in e.outputs if v in found]

    def _is_worth_it(self, e: Equation, results: list[Var], needed: dict[Var, bool]) -> bool:
        if not is_elemental(e) or any(needed[v] for v in results):
            return True
        (result,) = e.outputs
        read = max((a.aval.nbytes for a in e.inputs), default=0)
        is_spread_out = result.aval.nbytes > max(2 * read, IN_CACHE)
        return self.cost[result] > RECOMPUTE_LIMIT and not is_spread_out


# --- systems --------------------------------------------------------------------------------------


def _with_factors(found: _Invariants, prepared: Prepared) -> _Invariants:
    """With systems whose matrix is the same in every step in terms of its factors."""

    def factors(e: Equation) -> Program | None:
        return traced(e, _substituted) if _is_factorised(e, found.known) else None

    body = expanded(found.body, factors)
    return found if body is found.body else _Invariants(prepared(body), found.count)


def _is_factorised(e: Equation, known: set[Var]) -> bool:
    if e.primitive.name != "solve" or not all(a.aval.ndim == 2 for a in e.inputs):
        return False
    a, b = e.inputs
    if a.aval.dtype not in GEMM_DTYPES or a.aval.dtype != b.aval.dtype:
        return False
    varies = isinstance(b, Var) and b not in known
    return a.aval.shape[0] >= FACTORISED and a in known and varies


def _substituted(a: Any, b: Any) -> Any:
    """x with a x = b, from factors; nan if there is none, as where they are found in every step."""
    n = shape_of(a)[0]
    factors, pivots = lu_p.bind(a)
    diagonal = gather(factors, [np.arange(n), np.arange(n)], (0, 1), "promise_in_bounds")
    zero = eq_p.bind(diagonal, np.zeros((), dtype_of(a)))
    singular = reduce_or_p.bind(zero, axes=(0,))
    factors = select(singular, np.full((), np.nan, dtype_of(a)), factors)
    order = permutation_p.bind(pivots, rows=n)
    x = gather(b, [order], (0,), "promise_in_bounds")
    x = triangular_solve(factors, x, lower=True, unit_diagonal=True)
    return triangular_solve(factors, x, lower=False)
