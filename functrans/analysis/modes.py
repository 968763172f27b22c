"""Forward against reverse: what each mode costs for a Jacobian, and which one to take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

from functrans.analysis.cost import Cost, program_cost
from functrans.compiler.jit import jit
from functrans.core import tree
from functrans.core.errors import TransformError
from functrans.core.interpret import evaluate
from functrans.core.program import Program
from functrans.core.types import Aval, ShapeDtypeStruct, aval_of
from functrans.transforms.api import check_callable, name_of, trace_at
from functrans.transforms.autodiff import (
    Argnums,
    jacfwd,
    jacrev,
    linearize,
    resolve_argnums,
    vjp,
)
from functrans.transforms.inspect import make_program
from functrans.transforms.linearize import linearize_program
from functrans.transforms.vmap import vmap

MEASURED_SECONDS = 0.1
"""How long each mode is run to find its least time."""


@dataclass(frozen=True)
class ModeCost:
    """What a full Jacobian takes in one mode.

    Attributes:
        passes: directions pushed forward, or cotangents pulled back.
        predicted: the Cost of all passes as one batched Program.
        residual_bytes: what the linear part reads of the function's intermediate values.
        measured_passes: how many passes were run in one batch; where fewer than `passes`, the
            next two are extrapolated.
        seconds: measured, the least of several runs.
        peak_bytes: arguments, outputs and temporaries of the compiled code.
    """

    passes: int
    predicted: Cost
    residual_bytes: int
    measured_passes: int
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class ModeComparison:
    """Forward against reverse for one function at one point; prints as a table.

    Attributes:
        name: of the function.
        inputs, outputs: their numbers of elements, n and m.
        forward, reverse: what each takes.
        disagreement: largest difference between the two Jacobians, relative to their largest
            entry, over the entries that both computed.
        compared: how many entries those are.
        recommendation: "forward" or "reverse": the faster one as measured.
        reason: why, in a sentence.
    """

    name: str
    inputs: int
    outputs: int
    forward: ModeCost
    reverse: ModeCost
    disagreement: float
    compared: int

    @property
    def recommendation(self) -> str:
        return "forward" if self.forward.seconds <= self.reverse.seconds else "reverse"

    @property
    def reason(self) -> str:
        forward_wins = self.recommendation == "forward"
        best, other = (self.forward, self.reverse)[:: 1 if forward_wins else -1]
        way, back = ("forward", "reverse")[:: 1 if forward_wins else -1]
        predicted = other.predicted.seconds / max(best.predicted.seconds, 1e-30)
        measured = other.seconds / max(best.seconds, 1e-30)
        memory = other.residual_bytes - best.residual_bytes
        stored = f", and {_bytes(memory)} less to keep" if memory > 0 else ""
        return (
            f"{best.passes:,} {way} {_plural('pass', best.passes)} instead of {other.passes:,} "
            f"in {back}{stored}: measured {measured:,.3g} times as fast "
            f"(predicted {predicted:,.3g})"
        )

    def __str__(self) -> str:
        rows = [("", "forward", "reverse")]
        rows += [(what, f(self.forward), f(self.reverse)) for what, f in _ROWS]
        widths = [max(len(r[i]) for r in rows) for i in range(3)]
        title = f"{self.name}: {self.inputs:,} {_plural('input', self.inputs)}, {self.outputs:,} "
        lines = [title + _plural("output", self.outputs)]
        for what, a, b in rows:
            lines.append(f"  {what:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}")
        lines.append(
            f"  the two Jacobians differ by {self.disagreement:.1e} of the largest entry "
            f"({self.compared:,} of {self.inputs * self.outputs:,} entries compared)"
        )
        lines.append(f"  take {self.recommendation}: {self.reason}")
        return "\n".join(lines)

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw both modes side by side: time, work, memory.

        Args:
            path: where to write the figure; nowhere if None.

        Returns:
            The matplotlib Figure (matplotlib is in the extra `examples`).
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 3.2), layout="constrained")
        figure.suptitle(f"{self.name}: {self.inputs:,} → {self.outputs:,}")
        panels: list[tuple[str, Callable[[ModeCost], float]]] = [
            ("measured time, s", lambda c: c.seconds),
            ("predicted time, s", lambda c: c.predicted.seconds),
            ("flops", lambda c: c.predicted.flops),
            ("peak memory, bytes", lambda c: c.peak_bytes),
        ]
        for axes, (title, value) in zip(figure.subplots(1, len(panels)), panels, strict=True):
            axes.bar(["forward", "reverse"], [value(self.forward), value(self.reverse)], width=0.6)
            axes.patches[0 if self.recommendation == "forward" else 1].set_color("tab:green")
            axes.set_yscale("log")
            axes.set_title(title)
        if path is not None:
            figure.savefig(path, dpi=110)
        return figure


def compare_modes(
    fun: Callable[..., Any], argnums: Argnums = 0, max_passes: int = 128
) -> Callable[..., ModeComparison]:
    """A function of the same arguments that compares forward with reverse mode for its Jacobian.

    Both Jacobians are compiled and run at the arguments. A mode that would need more than
    `max_passes` passes is run on that many, chosen evenly, and its time and memory extrapolated;
    the table says so.

    Args:
        fun: a function of real arrays or trees of arrays, R^n → R^m in all.
        argnums: which arguments to differentiate with respect to.
        max_passes: the most directions or cotangents to run.

    Returns:
        A function that returns a ModeComparison.

    Raises:
        TransformError: an argument or a result is not of a real floating dtype.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> result = ft.analysis.compare_modes(lambda x: fnp.sum(fnp.sin(x)))(np.ones(1000))
    >>> result.forward.passes, result.reverse.passes, result.recommendation
    (1000, 1, 'reverse')
    """
    check_callable(fun, "compare_modes")

    @wraps(fun)
    def comparison(*args: Any, **kwargs: Any) -> ModeComparison:
        point = Point.of(fun, args, kwargs, argnums)
        columns, rows = _evenly(point.n, max_passes), _evenly(point.m, max_passes)
        forward, by_columns = _run(point, point.push, columns, point.n, point.in_avals)
        reverse, by_rows = _run(point, point.pull, rows, point.m, point.out_avals)
        ours, theirs = by_columns[:, rows].T, by_rows[:, columns]
        scale = max(np.max(np.abs(theirs), initial=0.0), np.finfo(theirs.dtype).tiny)
        difference = np.max(np.abs(ours - theirs), initial=0.0) / scale
        return ModeComparison(
            name_of(fun), point.n, point.m, forward, reverse, float(difference), ours.size
        )

    return comparison


def jacobian(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    mode: str = "auto",
) -> Callable[..., Any]:
    """The Jacobian in the mode that costs less, or in the one asked for.

    Args:
        fun: a function of arrays or trees of arrays.
        argnums: which arguments to differentiate with respect to.
        has_aux: fun returns (output, auxiliary data).
        holomorphic: fun is holomorphic, its arguments complex.
        mode: "forward" (`jacfwd`), "reverse" (`jacrev`), or "auto": the one whose Program is
            predicted to be faster (functrans/analysis/cost.py), decided once per argument types.

    Raises:
        ValueError: mode is none of the three.

    >>> import functrans as ft
    >>> ft.jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    check_callable(fun, "jacobian")
    if mode not in ("auto", "forward", "reverse"):
        raise ValueError(f'mode must be "auto", "forward" or "reverse", got {mode!r}')
    in_mode = {
        "forward": jacfwd(fun, argnums, has_aux, holomorphic),
        "reverse": jacrev(fun, argnums, has_aux, holomorphic),
    }
    if mode != "auto":
        return in_mode[mode]
    decided: dict[Any, str] = {}

    @wraps(fun)
    def jacobian_fun(*args: Any, **kwargs: Any) -> Any:
        leaves, in_tree = tree.flatten((args, kwargs))
        key = (in_tree, tuple(map(aval_of, leaves)))
        if key not in decided:
            output_only = (lambda *a, **k: fun(*a, **k)[0]) if has_aux else fun
            decided[key] = _cheaper(output_only, args, kwargs, argnums, holomorphic)
        return in_mode[decided[key]](*args, **kwargs)

    return jacobian_fun


def _cheaper(
    fun: Callable[..., Any], args: tuple, kwargs: dict, argnums: Argnums, holomorphic: bool
) -> str:
    point = Point.of(fun, args, kwargs, argnums, "c" if holomorphic else "f")
    forward = program_cost(point.batched(point.push, point.n, point.in_avals))
    reverse = program_cost(point.batched(point.pull, point.m, point.out_avals))
    return "forward" if forward.seconds <= reverse.seconds else "reverse"


@dataclass(frozen=True)
class Point:
    """A function traced at a point, as a Program of what it is differentiated with respect to."""

    program: Program
    primals: list[Any]
    captured_count: int

    @classmethod
    def of(
        cls, fun: Callable[..., Any], args: tuple, kwargs: dict, argnums: Argnums, kind: str = "f"
    ) -> Point:
        positions = resolve_argnums(argnums, args, name_of(fun))

        def of_chosen(*chosen: Any) -> Any:
            full = list(args)
            for i, x in zip(positions, chosen, strict=True):
                full[i] = x
            return fun(*full, **kwargs)

        traced = trace_at(of_chosen, tuple(args[i] for i in positions), {})
        point = cls(traced.program, traced.primals, traced.captured_count)
        for what, avals in (("argument", point.in_avals), ("result", point.out_avals)):
            for aval in avals:
                if aval.dtype.kind not in (kind, "f"):
                    real = "complex" if kind == "c" else "real floating"
                    raise TransformError(
                        f"the Jacobian of {name_of(fun)} needs every {what} to be {real}, got "
                        f"{aval}."
                    )
        return point

    @property
    def in_avals(self) -> list[Aval]:
        return [a.strong() for a in self.program.in_avals[self.captured_count :]]

    @property
    def out_avals(self) -> list[Aval]:
        return [a.strong() for a in self.program.out_avals]

    @property
    def n(self) -> int:
        return sum(a.size for a in self.in_avals)

    @property
    def m(self) -> int:
        return sum(a.size for a in self.out_avals)

    def push(self, primals: list[Any], tangents: list[Any]) -> list[Any]:
        """The tangents of the outputs for every tangent of a batch."""
        _, push = linearize(self._function(primals), *primals[self.captured_count :])
        return vmap(push)(*tangents)

    def pull(self, primals: list[Any], cotangents: list[Any]) -> list[Any]:
        """The cotangents of the inputs for every cotangent of a batch."""
        _, pull = vjp(self._function(primals), *primals[self.captured_count :])
        return list(vmap(pull)(cotangents))

    def _function(self, primals: list[Any]) -> Callable[..., Any]:
        captured = primals[: self.captured_count]
        return lambda *own: evaluate(self.program, [*captured, *own])

    def batched(self, step: Callable[..., Any], count: int, avals: Sequence[Aval]) -> Program:
        """The Program of `count` passes at once; no array is made for it."""
        batch = [ShapeDtypeStruct((count, *a.shape), a.dtype) for a in avals]
        primals = [ShapeDtypeStruct(a.shape, a.dtype) for a in self.program.in_avals]
        return make_program(step)(primals, batch)


def _run(
    point: Point,
    step: Callable[..., Any],
    chosen: np.ndarray,
    count: int,
    avals: Sequence[Aval],
) -> tuple[ModeCost, np.ndarray]:
    """A mode's costs, and the rows it computed: [passes run, elements of the other side]."""
    lowered = jit(step).lower(point.primals, _unit_vectors(avals, chosen))
    run, batch = lowered.compile(), _unit_vectors(avals, chosen)
    result = run(point.primals, batch)
    memory = lowered.memory_analysis()
    scale = count / max(len(chosen), 1)
    varying = memory["output_size_in_bytes"] + memory["temp_size_in_bytes"]
    mode = ModeCost(
        passes=count,
        predicted=program_cost(point.batched(step, count, avals)),
        residual_bytes=0 if step == point.push else _residual_bytes(point),
        measured_passes=len(chosen),
        seconds=_least_seconds(lambda: run(point.primals, batch)) * scale,
        peak_bytes=int(memory["argument_size_in_bytes"] + varying * scale),
    )
    rows = [np.reshape(y, (len(chosen), -1)) for y in result]
    return mode, np.concatenate(rows, axis=1)


def _residual_bytes(point: Point) -> int:
    """Intermediate values that must wait for the backward pass."""
    own = len(point.program.inputs) - point.captured_count
    split = linearize_program(point.program, (False,) * point.captured_count + (True,) * own)
    kept = set(split.forward.outputs[len(point.out_avals) :]) - set(split.forward.inputs)
    return sum(v.aval.nbytes for v in kept)


def _unit_vectors(avals: Sequence[Aval], chosen: np.ndarray) -> list[np.ndarray]:
    """For every chosen element of the concatenated leaves, the unit vector in its direction."""
    vectors, begin = [], 0
    for aval in avals:
        flat = np.zeros((len(chosen), aval.size), aval.dtype)
        here = (chosen >= begin) & (chosen < begin + aval.size)
        flat[here, chosen[here] - begin] = 1
        vectors.append(flat.reshape(len(chosen), *aval.shape))
        begin += aval.size
    return vectors


def _evenly(count: int, most: int) -> np.ndarray:
    """At most so many of the indices below `count`, evenly spread."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.intp)


def _least_seconds(run: Callable[[], Any]) -> float:
    least, end = np.inf, time.perf_counter() + MEASURED_SECONDS
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        least = min(least, now - start)
        if now > end:
            return least


# --- the table ------------------------------------------------------------------------------------


def _bytes(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if abs(n) < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:,.3g} GB"


def _count(n: float) -> str:
    for unit in ("", " k", " M"):
        if abs(n) < 1000:
            return f"{n:.3g}{unit}"
        n /= 1000
    return f"{n:,.3g} G"


def _seconds(s: float) -> str:
    for unit in ("s", "ms"):
        if s >= 1:
            return f"{s:,.3g} {unit}"
        s *= 1000
    return f"{s:.3g} µs"


def _measured(c: ModeCost, text: str) -> str:
    return text if c.measured_passes == c.passes else f"≈ {text}"


def _plural(word: str, n: int) -> str:
    return word if n == 1 else word + ("es" if word.endswith("s") else "s")


_ROWS: list[tuple[str, Callable[[ModeCost], str]]] = [
    ("passes", lambda c: f"{c.passes:,}"),
    ("passes measured", lambda c: f"{c.measured_passes:,}"),
    ("predicted flops", lambda c: _count(c.predicted.flops)),
    ("predicted bytes moved", lambda c: _bytes(c.predicted.bytes_moved)),
    ("predicted time", lambda c: _seconds(c.predicted.seconds)),
    ("residuals kept", lambda c: _bytes(c.residual_bytes)),
    ("measured time", lambda c: _measured(c, _seconds(c.seconds))),
    ("peak memory", lambda c: _measured(c, _bytes(c.peak_bytes))),
]
