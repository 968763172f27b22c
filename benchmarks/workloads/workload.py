"""What a workload is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.libraries import Library

ALL = ("jax", "torch", "autograd")
TORCH = ("jax", "torch")
JAX = ("jax",)
ALONE: tuple[str, ...] = ()

Made = tuple[Callable[..., Any], tuple]


@dataclass(frozen=True)
class Workload:
    """A function and arguments to measure.

    Attributes:
        name: as tables show it.
        make: from a library, the function (compiled, where the library compiles) and its arguments.
        peers: the libraries that can run it too.
        primal: the function whose gradient this is, likewise; for the ratio of their times.
        first_only: only the first call matters.
        tolerance: between the results of two libraries, relative to the largest number of an
            array; by its dtype unless given.
        again: other arguments for which a first call is measured once the kernels are there.
    """

    name: str
    make: Callable[[Library], Made]
    peers: tuple[str, ...] = JAX
    primal: Callable[[Library], Made] | None = None
    first_only: bool = False
    tolerance: float | None = None
    again: Callable[[Library], tuple] | None = None


def gradient(
    name: str,
    make: Callable[[Library], Made],
    peers: tuple[str, ...] = JAX,
    argnums: Any = 0,
    tolerance: float | None = None,
) -> Workload:
    """The workload `value_and_grad` of a scalar function that `make` gives uncompiled."""

    def both(lib: Library) -> Made:
        f, args = make(lib)
        return lib.jit(lib.value_and_grad(f, argnums)), args

    def primal(lib: Library) -> Made:
        f, args = make(lib)
        return lib.jit(f), args

    return Workload(name, both, peers, primal, tolerance=tolerance)
