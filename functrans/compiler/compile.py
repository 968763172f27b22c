"""Program → callable native code: lower, emit, compile what is new, bind addresses."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from functrans.compiler.frames import Executable, ResultSizeError
from functrans.compiler.link import link
from functrans.compiler.plans import load_plan, plan_key, save_plan
from functrans.compiler.schedule import Schedule
from functrans.core.config import config
from functrans.core.errors import OutOfMemoryError
from functrans.core.garbage import collection_put_off
from functrans.core.program import Program
from functrans.core.trace import as_value
from functrans.core.types import PYTHON_SCALARS, Aval, aval_of
from functrans.primitives.calls import infer_call

_lock = threading.RLock()
_executables: dict[tuple[Program, frozenset[int]], Compiled] = {}
_CAPACITY = 4096
"""Compiled Programs kept; the oldest goes first."""
WORTH_DONATING = 1 << 16
"""Bytes of an argument from which on its memory is used: checks of smaller ones cost as much."""


def compile_program(program: Program, donated: Iterable[int] = ()) -> Compiled:
    """The compiled form of a closed Program; equal Programs share it.

    Args:
        program: the Program.
        donated: inputs whose memory results may take; those that are too small to be worth it, or
            Python scalars, keep theirs.
    """
    large = frozenset(i for i in donated if program.in_avals[i].nbytes >= WORTH_DONATING)
    known = program.cache.get(("compiled", large))
    if known is None:
        with _lock, collection_put_off():
            known = _executables.get((program, large))
            if known is None:
                known = Compiled(program, large)
                while len(_executables) >= _CAPACITY:
                    del _executables[next(iter(_executables))]
                _executables[program, large] = known
            program.cache["compiled", large] = known
    return known


class Compiled:
    """A Program as native code.

    Args:
        program: the Program.
        donated: inputs that may be overwritten.

    Attributes:
        program, donated: as given.
        overwritten: the donated inputs that are overwritten.
    """

    def __init__(self, program: Program, donated: frozenset[int] = frozenset()) -> None:
        self.program = program
        self.donated = donated
        self.overwritten: frozenset[int] = frozenset()
        self._schedule: Schedule | None = None
        try:
            self._executable = self._from_disk() or self._linked(self.schedule)
        except MemoryError as error:
            raise self._out_of_memory(error) from None
        if config.dump_dir is not None:
            from functrans.compiler.dump import dump

            dump(program, self.schedule, config.dump_dir)
        self._unbox = [_unboxing(a) for a in program.out_avals]
        self._plain = not any(self._unbox)
        self._weak = [i for i, a in enumerate(program.in_avals) if a.weak_type]

    @property
    def schedule(self) -> Schedule:
        """The steps and their kernels; lowered now if the disk gave only what it takes to run."""
        if self._schedule is None:
            from functrans.compiler.lower import lower

            self._schedule = lower(self.program, self.donated)
        return self._schedule

    def _from_disk(self) -> Executable | None:
        """What an earlier process made of this Program; else it is made now, and kept."""
        key = plan_key(self.program, self.donated)
        if key is None:
            return None
        known = load_plan(key)
        if known is not None:
            try:
                return self._linked(known)
            except KeyError:  # its object code is not there any more
                pass
        executable = self._linked(self.schedule)
        save_plan(key, self.schedule)
        return executable

    def _linked(self, schedule: Schedule) -> Executable:
        self.overwritten = schedule.overwritten
        return link(schedule, self.program)

    def _out_of_memory(self, error: MemoryError) -> MemoryError:
        """The error that says what takes the memory, if it is the Program's arrays."""
        from functrans.compiler.lower import prepare

        equations = prepare(self.program).equations
        arrays = [(v.aval.nbytes, v.aval, e) for e in equations for v in e.outputs]
        largest = sorted(arrays, key=lambda a: a[0], reverse=True)[:3]
        largest = [a for a in largest if 100 * a[0] > largest[0][0]]
        if not largest:
            return error
        lines = [
            f"{aval}, {nbytes / 2**30:.3g} GiB, of {e.primitive.name}"
            + (f"  {e.source.explain()}" if e.source else "")
            for nbytes, aval, e in largest
        ]
        listed = "\n  ".join(lines)
        name, sizes = self.program.name or "the function", self.memory
        takes = f"keeps {sizes['temp_size_in_bytes'] / 2**30:.3g} GiB while it runs"
        if isinstance(error, ResultSizeError):
            takes = f"has results of {sizes['output_size_in_bytes'] / 2**30:.3g} GiB"
        return OutOfMemoryError(
            f"{name} {takes}, more than there is. The largest arrays:\n  {listed}\n"
            f"  {OutOfMemoryError.advice}"
        )

    def try_call(self, leaves: list[Any]) -> list[Any] | None:
        """The outputs, or None if a leaf is not an array of exactly the type compiled for."""
        for i in self._weak:  # the dispatcher takes an array of no dimensions for a Python scalar
            if type(leaves[i]) is np.ndarray:
                return None
        return self._run(leaves)

    def _run(self, leaves: list[Any]) -> list[Any] | None:
        if self.overwritten:
            leaves = _given_up(leaves, self.overwritten)
        try:
            outs = self._executable(leaves)
        except ResultSizeError as error:
            raise self._out_of_memory(error) from None
        if isinstance(outs, int):
            return None
        if self._plain:
            return outs
        return [y if f is None else f(y) for f, y in zip(self._unbox, outs, strict=True)]

    def __call__(self, leaves: list[Any]) -> list[Any]:
        """The outputs; leaves are converted to contiguous arrays of the types compiled for.

        Raises:
            ShapeError, DTypeError: a leaf is of another type.
        """
        outs = self.try_call(leaves)
        if outs is None:
            infer_call(self.program, [aval_of(x) for x in leaves])
            arrays = [contiguous(x, a) for x, a in zip(leaves, self.program.in_avals, strict=True)]
            outs = self._run(arrays)
        assert outs is not None
        return outs

    @property
    def source(self) -> str:
        """The schedule and the kernels as text."""
        from functrans.compiler.describe import describe

        return describe(self.schedule, self.program)

    @property
    def memory(self) -> dict[str, int]:
        """Bytes by use."""
        arena, _ = self.schedule.place()
        sizes = {
            "argument_size_in_bytes": sum(a.nbytes for a in self.program.in_avals),
            "output_size_in_bytes": sum(a.nbytes for a in self.program.out_avals),
            "constant_size_in_bytes": sum(c.nbytes for c in self.schedule.constants.values()),
            "temp_size_in_bytes": arena,
        }
        shared = sum(self.program.out_avals[o].nbytes for o in self.schedule.heirs)
        peak = sum(sizes.values()) - shared
        return {**sizes, "alias_size_in_bytes": shared, "peak_memory_in_bytes": peak}


def contiguous(x: Any, aval: Aval) -> Any:
    """A leaf as the dispatcher takes it: an array of exactly this type, or a Python scalar."""
    x = as_value(x)
    if aval.weak_type:  # the dispatcher takes Python scalars there, and nothing else
        return np.array(x, aval.dtype).item()
    if type(x) in PYTHON_SCALARS:
        return np.array(x, aval.dtype)
    array = np.array(x, aval.dtype, order="C", copy=None, ndmin=0, subok=False)
    return array if array.flags.aligned else array.copy()


def _given_up(leaves: list[Any], overwritten: Iterable[int]) -> list[Any]:
    """The leaves, with copies of those that are overwritten but not the caller's alone to give."""
    arrays = [x for x in leaves if isinstance(x, np.ndarray)]
    owners = list(map(_owner, arrays))
    times = Counter(map(id, owners))
    foreign = [x for x, owner in zip(arrays, owners, strict=True) if owner is None]
    result = list(leaves)
    for i in overwritten:
        x = leaves[i]
        if type(x) is not np.ndarray:
            continue
        alone = x.flags.owndata and x.flags.writeable and times[id(x)] == 1
        if not alone or any(np.may_share_memory(x, y) for y in foreign):
            result[i] = x.copy(order="C")
    return result


def _owner(x: np.ndarray) -> np.ndarray | None:
    """The array whose memory x is a view of, or x; None if the memory is no array's."""
    while isinstance(x.base, np.ndarray):
        x = x.base
    return x if x.flags.owndata else None


def _unboxing(aval: Aval) -> Any:
    """How a 0-d result is handed out: weak ones as Python scalars, others as NumPy scalars."""
    if aval.shape:
        return None
    return np.ndarray.item if aval.weak_type else _scalar


def _scalar(x: np.ndarray) -> Any:
    return x[()]
