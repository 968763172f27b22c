"""Tracing: the one place where Python runs, and the Tracer that stands for a value meanwhile.

A `Trace` collects equations. Which trace an operation goes to is decided by its operands:

- a *staging* trace on top of the stack (under `jit`, `vmap`, in loop bodies) records every
  operation on tracers, its own or an outer trace's;
- otherwise the operation goes to the innermost trace among its operands. So while a linear trace
  is open, operations on primal values alone are evaluated (or recorded further out), and only what
  depends on tangents is recorded: that is all that linearisation needs;
- an operation without tracers is plain NumPy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from functrans.core import primitive as _primitive
from functrans.core.effects import acts, belongs_to_trace, has_effects, has_ruled_effects, silent
from functrans.core.errors import (
    ConcretizationError,
    DTypeError,
    FunctransError,
    LeakedTracerError,
    ShapeError,
)
from functrans.core.primitive import Primitive
from functrans.core.program import Atom, Equation, Literal, Program, Var, infer_outputs
from functrans.core.source import current_source
from functrans.core.types import PYTHON_SCALARS, Aval, aval_of


class _Unknown:
    """The value of a tracer that has none."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _Unknown()


class _Stack(threading.local):
    def __init__(self) -> None:
        self.traces: list[Trace] = []


_stack = _Stack()


class Trace:
    """An open Program: collects equations until `finish`.

    Args:
        staging: record every operation on tracers, and carry no concrete values.
        name: of the traced function, for errors and the Program.
        rehearsal: carry values, but leave effects to the run that binds the equations again.
    """

    __slots__ = (
        "captured",
        "equations",
        "inputs",
        "level",
        "name",
        "rehearsal",
        "source",
        "staging",
        "values",
    )

    def __init__(self, staging: bool, name: str = "", rehearsal: bool = False) -> None:
        self.staging = staging
        self.rehearsal = rehearsal
        self.name = name
        self.level = -1
        self.inputs: list[Var] = []
        self.equations: list[Equation] = []
        self.captured: dict[int, tuple[Tracer, Tracer]] = {}
        self.values: dict[Any, Any] = {}
        """What variables are, as far as known, and under equations with effects those that ran."""
        self.source = current_source()

    def __enter__(self) -> Trace:
        self.level = len(_stack.traces)
        _stack.traces.append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        del _stack.traces[self.level :]
        self.level = -1

    def new_input(self, aval: Aval, value: Any = UNKNOWN) -> Tracer:
        var = Var(aval)
        self.inputs.append(var)
        if value is not UNKNOWN:
            self.values[var] = value
        return Tracer(self, var, value)

    def atom(self, x: Any) -> Atom:
        """The operand of an equation of this trace that stands for the value x."""
        if type(x) is not Tracer:
            return Literal(x)
        if x.owner is self:
            return x.variable
        return self.capture(x).variable

    def capture(self, outer: Tracer) -> Tracer:
        """The tracer that stands in this trace for one of an outer trace."""
        known = self.captured.get(id(outer))
        if known is None:
            _check_open(outer.owner)
            value = UNKNOWN if self.staging else outer.value
            known = (outer, Tracer(self, Var(outer.aval), value))
            self.captured[id(outer)] = known
        return known[1]

    def record(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        """Append the equation and return the tracer(s) of its result."""
        # eager derivatives spend their time here, hence one loop over the operands
        inputs: list[Atom] = []
        avals, values = [], []
        known = not self.staging
        for x in args:
            atom: Atom
            if type(x) is Tracer:
                atom = x.variable if x.owner is self else self.capture(x).variable
                if x.value is UNKNOWN:
                    known = False
                values.append(x.value)
            else:
                atom = Literal(x)
                values.append(x)
            inputs.append(atom)
            avals.append(atom.aval)
        inferred = primitive.infer(*avals, **params)
        several = primitive.multiple_results
        outputs = tuple([Var(a) for a in inferred]) if several else (Var(inferred),)
        equation = Equation(primitive, inputs, params, outputs, current_source())
        self.equations.append(equation)
        if known and several and has_effects(equation):
            params, known = self._run_effects(equation)
        if not known:
            results = [Tracer(self, v, UNKNOWN) for v in outputs]
        elif not several:
            self.values[outputs[0]] = out = primitive.evaluate(*values, **params)
            return Tracer(self, outputs[0], out)
        else:
            # arrays that its Programs create are values too, also where a trace around has none
            with outside():
                out = primitive.evaluate(*values, **params)
            self.values.update(zip(outputs, out, strict=True))
            results = [Tracer(self, v, y) for v, y in zip(outputs, out, strict=True)]
        return results if several else results[0]

    def _run_effects(self, equation: Equation) -> tuple[Any, bool]:
        """With which parameters to evaluate an equation with effects now, and whether to.

        Every effect happens once. The outermost trace runs it at once, and its derivative then
        leaves it out. Others wait for the run that binds their equations again; so do functions
        with a rule, as the rule is what runs then, and effects with results inside of a loop or
        branch, which the derivative cannot leave out.
        """
        own = equation.primitive.effects
        quiet = None if own else silent(equation.params)
        if not self.rehearsal and (own or quiet is not None) and not has_ruled_effects(equation):
            self.values[equation] = True
            return equation.params, True
        return quiet, quiet is not None

    def finish(self, outputs: Sequence[Any]) -> tuple[Program, list[Tracer]]:
        """The Program, whose first inputs are the captured tracers, and those tracers."""
        atoms = [self.atom(y) for y in outputs]
        captured = list(self.captured.values())
        inputs = [inner.variable for _, inner in captured] + self.inputs
        return Program(inputs, self.equations, atoms, self.name), [outer for outer, _ in captured]


class Tracer:
    """What a function sees in place of an array while it is traced.

    It has the shape, dtype, operators and methods of an array (functrans/numpy/methods.py adds
    them), and outside `jit` also the value.
    """

    __slots__ = ("aval", "owner", "value", "variable")
    __array_priority__ = 1000.0

    def __init__(self, trace: Trace, var: Var, value: Any) -> None:
        self.owner = trace
        self.variable = var
        self.aval = var.aval
        self.value = value

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype:
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        return len(self.aval.shape)

    @property
    def size(self) -> int:
        return self.aval.size

    @property
    def nbytes(self) -> int:
        return self.aval.nbytes

    @property
    def itemsize(self) -> int:
        return self.aval.dtype.itemsize

    @property
    def weak_type(self) -> bool:
        return self.aval.weak_type

    def __len__(self) -> int:
        if not self.aval.shape:
            raise TypeError("len() of an array without dimensions")
        return self.aval.shape[0]

    def __repr__(self) -> str:
        if self.value is UNKNOWN:
            return f"Tracer<{self.aval}>"
        return f"Tracer<{self.aval}> of {self.value!r}"

    def __format__(self, spec: str) -> str:
        return format(self.concrete("formatting", _PRINT), spec) if spec else repr(self)

    def __hash__(self) -> int:
        raise TypeError("a traced array is unhashable, as numpy.ndarray is")

    def concrete(self, wanted: str, instead: str) -> Any:
        """The value; ConcretizationError, which says what to write instead, if there is none."""
        _check_open(self.owner)
        if self.value is not UNKNOWN:
            return self.value
        trace = self.owner
        where = f"while tracing {trace.name or 'a function'} for jit, vmap or a loop body"
        raise ConcretizationError(
            f"{wanted} needs the value of an array of type {self.aval}, but {where} there is no "
            f"value yet.\n  {instead}"
        )

    def constant(self, wanted: str) -> Any:
        """The value as a plain number, or an error where that would cut off its derivative."""
        if self.aval.dtype.kind in "fc" and self.value is not UNKNOWN:
            raise ConcretizationError(
                f"{wanted} of a traced array of type {self.aval} would make a constant of it: its "
                f"derivative would be lost.\n"
                "  Use the function of functrans.numpy (fnp.sin for math.sin), ft.at(a)[i].set(x) "
                "for a[i] = x, print(x) to see it; or functrans.stop_gradient(x) if a constant is "
                "meant."
            )
        return self.concrete(wanted, _STATIC)

    def __bool__(self) -> bool:
        return bool(
            self.concrete(
                "if, while, and, or, not",
                "Use fnp.where(condition, a, b) or lax.cond(condition, f, g, *operands) for a "
                "choice, lax.while_loop for a loop, & | ~ for logic; or mark the argument static "
                "with static_argnums / static_argnames if Python should decide once.",
            )
        )

    def __int__(self) -> int:
        return int(self.concrete("int()", _STATIC))

    def __index__(self) -> int:
        value = self.concrete(
            "a Python index, range() or a shape",
            "To index a plain NumPy array with it use fnp.take(array, index) or "
            "fnp.asarray(array)[index]; for a loop use lax.fori_loop; for a shape mark the "
            "argument static with static_argnums.",
        )
        return value.__index__()

    def __float__(self) -> float:
        return float(self.constant("float()"))

    def __complex__(self) -> complex:
        return complex(self.constant("complex()"))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        _check_open(self.owner)
        raise ConcretizationError(
            f"NumPy asked for the data of a traced array of type {self.aval}.\n"
            "  Use the function of the same name in functrans.numpy, x.astype(np.float32) for "
            "np.float32(x), functrans.pure_callback for code that must run in Python, or "
            "functrans.stop_gradient(x) if the value outside jit is wanted as a constant. To index "
            "a plain NumPy array with a traced index use fnp.take(array, index) or "
            "fnp.asarray(array)[index]."
        )


_PRINT = (
    "Use functrans.debug.print to print values when the program runs; without a format, a traced "
    "array prints as its type."
)
_STATIC = (
    "Keep it an array (x.astype(...) instead of int(x) or float(x)), or mark the argument static "
    "with static_argnums / static_argnames."
)


def apply_primitive(primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    """Record the operation in the trace its operands belong to, or evaluate it."""
    trace = find_trace(args)
    if trace is None and (
        primitive.creates or (primitive.multiple_results and belongs_to_trace(params))
    ):
        trace = staging_trace()
        if _stack.traces and _stack.traces[-1].rehearsal and acts(primitive, params):
            trace = _stack.traces[-1]
    if trace is not None:
        return trace.record(primitive, args, params)
    try:
        return primitive.evaluate(*args, **params)
    except FunctransError:
        raise
    except (ValueError, TypeError, IndexError):
        # the shape rule says better than NumPy what is wrong with the operands
        try:
            infer_outputs(primitive, [aval_of(x) for x in args], params)
        except (ShapeError, DTypeError) as error:
            raise error from None
        raise


def find_trace(args: Sequence[Any]) -> Trace | None:
    """The trace that records an operation on these operands; None if none is a tracer."""
    traces = _stack.traces
    top = traces[-1] if traces else None
    best: Trace | None = None
    for x in args:
        if type(x) is Tracer:
            trace = x.owner
            if trace is top:
                return top  # it checks the others when it captures them
            if trace is not best:
                _check_open(trace)
                if best is None or trace.level > best.level:
                    best = trace
    return top if best is not None and top is not None and top.staging else best


def staging_trace() -> Trace | None:
    """The innermost open trace that records without values, if there is one."""
    for open_trace in reversed(_stack.traces):
        if open_trace.staging:
            return open_trace
    return None


def bind_staged(primitive: Primitive, *args: Any, **params: Any) -> Any:
    """As `primitive.bind`, for a primitive that creates an array (`creates`)."""
    return apply_primitive(primitive, args, params)


def trace_depth() -> int:
    """How many traces are open in this thread."""
    return len(_stack.traces)


def trace(
    fun: Callable[[Sequence[Any]], Sequence[Any]],
    avals: Sequence[Aval],
    values: Sequence[Any] | None = None,
    name: str = "",
    own: Trace | None = None,
) -> tuple[Program, list[Tracer], dict[Any, Any]]:
    """Run `fun` on tracers and return its Program, what it captured and the values it computed.

    Args:
        fun: takes and returns a flat sequence of arrays.
        avals: of its arguments.
        values: concrete (or outer tracers') values of the arguments; None traces without values.
        name: of the function, for people.
        own: the trace to run it in; None for a new one.

    Returns:
        The Program, whose first inputs are the captured outer tracers; those tracers; and the
        concrete values of its variables, as far as they were known (and its equations whose
        effects have happened).
    """
    rehearsal = values is not None and trace_depth() > 0
    with own or Trace(values is None, name, rehearsal) as open_trace:
        if values is None:
            args = [open_trace.new_input(a) for a in avals]
        else:
            args = [
                open_trace.new_input(a, v.value if type(v) is Tracer else v)
                for a, v in zip(avals, values, strict=True)
            ]
        outputs = fun(args)
        program, captured = open_trace.finish(outputs)
        return program, captured, open_trace.values


@contextmanager
def outside() -> Iterator[None]:
    """Here nothing is being traced: operations on values compute, whatever trace is open."""
    traces, _stack.traces = _stack.traces, []
    try:
        yield
    finally:
        _stack.traces = traces


def make_program_flat(
    fun: Callable[[Sequence[Any]], Sequence[Any]], avals: Sequence[Aval], name: str = ""
) -> Program:
    """The closed Program of a flat function of arrays that captures no outer tracer."""
    program, captured, _ = trace(fun, avals, name=name)
    if captured:
        raise LeakedTracerError(
            f"{name or 'the function'} closes over a traced value of type {captured[0].aval}; "
            "pass it as an argument (see functrans.closure_convert)"
        )
    return program


def as_value(x: Any, what: str = "argument") -> Any:
    """An array argument as a Program takes it: Tracer, Python scalar, NumPy scalar or ndarray.

    Raises:
        DTypeError: x is not numeric.
    """
    kind = type(x)
    if kind is Tracer or kind in PYTHON_SCALARS:
        return x
    if kind is np.ndarray and x.dtype.isnative and x.dtype.kind in "biufc":
        return x
    aval = aval_of(x)
    if aval.weak_type:
        return aval.dtype.type(x).item()
    if hasattr(x, "aval") or not isinstance(x, np.ndarray | np.generic):
        raise DTypeError(f"{what} must be an array or a number, got {kind.__name__}")
    return x if isinstance(x, np.generic) else np.asarray(x, dtype=aval.dtype)


def _check_open(trace: Trace) -> None:
    level = trace.level
    traces = _stack.traces
    if 0 <= level < len(traces) and traces[level] is trace:
        return
    made = f" It was made {trace.source.explain()}." if trace.source else ""
    raise LeakedTracerError(
        f"a traced array was used outside the call of {trace.name or 'the function'} that was "
        f"being traced.{made}\n  Return it from the function instead of storing it in "
        "a global, an attribute or a closure; side effects of a traced function do not last."
    )


_primitive.apply = apply_primitive
