"""Loops that update an array they carry: where it is, and as if it were a new one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.scipy import linalg

N, STEPS = 60, 37
A = np.linspace(-1.0, 1.0, N)
M = np.arange(N * 4.0).reshape(N, 4)
WIDE = np.linspace(0.0, 1.0, 220 * 220).reshape(220, 220) / 220


def loop(step: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    return lambda a: lax.fori_loop(0, STEPS, step, a)


def sieve(flags: Any) -> Any:
    def cross_out(p: Any, flags: Any) -> Any:
        def one(state: tuple) -> tuple:
            j, flags = state
            return j + p, flags.at[j].set(False)

        def all_of_them(flags: Any) -> Any:
            return lax.while_loop(lambda s: s[0] < N, one, (p * p, flags))[1]

        return lax.cond(flags[p], all_of_them, lambda flags: flags, flags)

    return lax.fori_loop(2, 8, cross_out, flags)


def old_value_later(i: Any, a: Any) -> Any:
    b = a.at[i].set(7.0)
    return b.at[0].set(a[i] + b[i])


def two_arrays(i: Any, ab: Any) -> Any:
    a, b = ab
    return a.at[i].set(b[i + 1] + 1), b.at[i].add(a[i + 2])


def exchanged(i: Any, ab: Any) -> Any:
    a, b = ab
    return b.at[i].set(a[i] + 1), a


def in_a_branch(i: Any, a: Any) -> Any:
    return lax.cond(a[i] > 0, lambda a: a.at[i].multiply(3.0), lambda a: a, a)


def in_a_scan(i: Any, a: Any) -> Any:
    return lax.scan(lambda c, x: (c.at[i].add(x * c[i + 1]), c[i]), a, np.arange(3.0))[0]


def in_one_branch_of_another(i: Any, a: Any) -> Any:
    return lax.cond(a[i] > 0, lambda a: a.at[i].set(0.5), lambda a: a * 2, a)


def and_a_sum(i: Any, state: Any) -> Any:
    a, total = state
    return a.at[i].set(total), fnp.sin(total) + fnp.sum(a * fnp.sin(a)) / N


def start_kept(a: Any) -> Any:
    after = lax.fori_loop(0, STEPS, lambda i, b: b.at[i].set(fnp.take(a, i + 1) * b[i]), a)
    return after, a


def stacking(a: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        c = c.at[3].add(x)
        return c, (c[3], c)

    return lax.scan(step, a, np.arange(5.0))


CASES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "set": (loop(lambda i, a: a.at[i].set(fnp.sin(a[i + 1]))), A),
    "add": (loop(lambda i, a: a.at[i].add(a[i - 1])), A),
    "a fixed place": (loop(lambda i, a: a.at[5].add(i)), A),
    "a negative place": (loop(lambda i, a: a.at[-i].add(1.0)), A),
    "dropped outside": (loop(lambda i, a: a.at[4 * i].set(1.0, mode="drop")), A),
    "clipped outside": (loop(lambda i, a: a.at[4 * i].set(i, mode="clip")), A),
    "several places": (loop(lambda i, a: a.at[fnp.stack([i, i + 1, i])].add(1.0)), A),
    "a slice": (loop(lambda i, a: a.at[2:9].multiply(1.5)), A),
    "a block": (loop(lambda i, a: lax.dynamic_update_slice(a, a[:3] + 1, (2 * i,))), A),
    "added to a block": (loop(lambda i, a: a.at[2:7].add(a[3:8] * i)), A),
    "added to most": (loop(lambda i, a: a.at[1:-1].add((a[2:] - a[:-2]) / 8)), A),
    "a row": (loop(lambda i, m: m.at[i].set(m[i + 1] * 2)), M),
    "a column": (loop(lambda i, m: m.at[:, 1].add(m[:, 0] * i)), M),
    "an element": (loop(lambda i, m: m.at[i, i % 4].set(m[0, 3])), M),
    "a block of a matrix": (
        loop(lambda i, m: lax.dynamic_update_slice(m, fnp.ones((2, 2)) * i, (i, i))),
        M,
    ),
    "float32": (loop(lambda i, a: a.at[i].set(fnp.exp(a[i]))), A.astype(np.float32)),
    "int8": (loop(lambda i, a: a.at[i].add(a[i + 1])), np.arange(N, dtype=np.int8)),
    "complex": (loop(lambda i, a: a.at[i].multiply(a[i + 1])), A + 1j),
    "bool": (sieve, np.ones(N, bool)),
    "twice": (loop(lambda i, a: a.at[i].set(1.0).at[i + 1].add(a[0])), A),
    "the old value later": (loop(old_value_later), A),
    "two arrays": (loop(two_arrays), (A, A + 3)),
    "exchanged": (loop(exchanged), (A, A + 3)),
    "in a branch": (loop(in_a_branch), A),
    "in a scan": (loop(in_a_scan), A),
    "in one branch, a new array in the other": (loop(in_one_branch_of_another), A),
    "read by a reduction": (loop(and_a_sum), (A, 0.25)),
    "no steps": (lambda a: lax.fori_loop(0, 0, lambda i, a: a.at[i].set(1.0), a), A),
    "the start is kept": (start_kept, A),
    "the start is a constant": (
        lambda x: lax.fori_loop(0, STEPS, lambda i, a: a.at[i].set(x), np.zeros(N)),
        2.0,
    ),
    "carried unchanged": (
        lambda a: lax.fori_loop(0, STEPS, lambda i, s: (s[0], s[1] + s[0][i]), (a, 0.0)),
        A,
    ),
    "stacked as well": (stacking, A),
}


def with_a_product(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """f in the body of a loop that is too large for registers."""

    def both(x: Any) -> Any:
        def step(i: Any, state: Any) -> Any:
            y, w = state
            return f(y), w @ WIDE

        return lax.fori_loop(0, 2, step, (x, WIDE))

    return both


def agree(f: Callable[[Any], Any], x: Any) -> None:
    given = ft.tree.map(np.copy, x)
    with np.errstate(all="ignore"):
        want = f(x)
    got = ft.jit(f)(x)
    ft.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-6, atol=1e-15), got, want)
    ft.tree.map(np.testing.assert_array_equal, x, given)


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    agree(*CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_values_of_blocks(name: str) -> None:
    f, x = CASES[name]
    if name in ("stacked as well", "the start is kept", "carried unchanged"):
        agree(with_a_product(lambda y: ft.tree.leaves(f(y))[0]), x)
    elif name != "the start is a constant":
        agree(with_a_product(f), x)


@pytest.mark.parametrize("name", ["set", "add", "a row", "in a branch", "two arrays", "twice"])
def test_under_vmap_and_grad(name: str) -> None:
    f, x = CASES[name]
    many = ft.tree.map(lambda a: np.stack([a, a + 0.5]), x)
    agree(ft.vmap(f), many)

    def total(x: Any) -> Any:
        return sum(fnp.sum(leaf * leaf) for leaf in ft.tree.leaves(f(x)))

    agree(ft.grad(total), x)


BIG = 1_000_000
IN_PLACE = {
    "set": lambda i, a: a.at[i].set(fnp.sin(a[i + 1])),
    "a block": lambda i, a: lax.dynamic_update_slice(a, a[:3] + 1, (2 * i,)),
    "in a branch": in_a_branch,
    "in a scan": in_a_scan,
    "twice": lambda i, a: a.at[i].set(1.0).at[i + 1].add(a[0]),
}


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("large", [False, True])
def test_nothing_is_copied(name: str, large: bool) -> None:
    f = loop(IN_PLACE[name])
    whole = with_a_product(f) if large else f
    memory = ft.jit(whole).lower(np.zeros(BIG)).memory_analysis()
    assert memory["temp_size_in_bytes"] < 8 * BIG / 2


def spread(i: Any, m: Any) -> Any:
    """A step of diffusion, by an update of all but the boundary."""
    around = m[2:, 1:-1] + m[:-2, 1:-1] + m[1:-1, 2:] + m[1:-1, :-2]
    return m.at[1:-1, 1:-1].add(0.1 * (around - 4 * m[1:-1, 1:-1]))


def closed(i: Any, m: Any) -> Any:
    """The same with the boundary as its neighbours."""
    m = spread(i, m)
    for a, b in ((0, 1), (-1, -2)):
        m = m.at[a].set(m[b])
        m = m.at[:, a].set(m[:, b])
    return m


@pytest.mark.parametrize(("step", "updates"), [(spread, 0), (closed, 4)])
def test_most_of_an_array_is_made_anew_and_little_updated(step: Any, updates: int) -> None:
    f, x = loop(step), np.cos(np.arange(220.0 * 220)).reshape(220, 220)
    agree(f, x)
    agree(ft.grad(lambda x: fnp.sum(fnp.sin(f(x)))), x)
    lowered = ft.jit(f).lower(x)
    assert lowered.source.count("# update") == updates
    assert lowered.memory_analysis()["temp_size_in_bytes"] < 2.1 * x.nbytes


Z = np.exp(1j * np.arange(500.0)).reshape(20, 25)
SPD = np.eye(20) * 30 + np.cos(np.arange(400.0)).reshape(20, 20)
LIBRARY: dict[str, tuple[Callable[[Any], Any], Any, int]] = {  # function, operand, copies
    "fft": (lambda z: fnp.fft.fft(z * 2), Z, 0),
    "along two axes": (lambda z: fnp.fft.ifft2(z * 2), Z, 0),
    "of an argument": (lambda z: fnp.fft.fft2(z), Z, 0),
    "read before": (lambda z: ((y := z * 2).sum(), fnp.fft.fft(y)), Z, 0),
    "read afterwards": (lambda z: ((y := z * 2), fnp.sum(fnp.fft.fft(y)) + fnp.sum(y)), Z, 0),
    "of real numbers": (lambda z: fnp.fft.rfft(z.real * 2), Z, 0),
    "sort": (lambda a: fnp.sort(fnp.sin(a * 9), axis=0), SPD, 0),
    "sort of an argument": (lambda a: fnp.sort(a), SPD, 1),
    "cholesky": (lambda a: fnp.linalg.cholesky(a @ a.T), SPD, 0),
    "solve": (lambda a: fnp.linalg.solve(a, fnp.cos(a)), SPD, 0),
    "solve, both the same": (lambda a: fnp.linalg.solve(y := fnp.exp(a / 9), y), SPD, 1),
    "triangular": (lambda a: linalg.solve_triangular(a, fnp.cos(a), lower=True), SPD, 0),
    "factors and solutions": (
        lambda a: linalg.cho_solve(linalg.cho_factor(a + a.T), a + 1),
        SPD,
        0,
    ),
    "in a loop": (loop(lambda i, z: fnp.fft.fft(z + 1) / 20), Z, 0),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_libraries_work_in_place_where_nobody_reads_the_operand_again(name: str) -> None:
    f, x, copies = LIBRARY[name]
    agree(f, x)
    assert ft.jit(f).lower(x).source.count("ft_copy(") == copies


@pytest.mark.parametrize("f", [fnp.fft.fft2, fnp.sort])
def test_libraries_work_in_donated_memory(f: Callable[[Any], Any]) -> None:
    z = np.exp(1j * np.arange(500.0 * 500)).reshape(500, 500)
    x = z.copy() if f is fnp.fft.fft2 else z.real.copy()
    want, place = f(x), x.ctypes.data
    got = ft.jit(f, donate_argnums=0)(x)
    np.testing.assert_allclose(got, want, 1e-9, 1e-9)
    assert got.ctypes.data == place
