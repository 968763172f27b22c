"""Kernels divided among threads: the same bits, whoever computes them and however many call."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax, nn
from functrans import numpy as fnp
from functrans.compiler import lower, threads

pytestmark = pytest.mark.skipif(threads.num_threads() < 2, reason="one core, or no POSIX threads")


def collatz(x: Any) -> Any:
    step = lambda c: (fnp.where(c[0] % 2 == 0, c[0] // 2, 3 * c[0] + 1), c[1] + 1)
    return lax.while_loop(lambda c: c[0] > 1, step, (abs(x) // 1, 0))


def root(x: Any) -> Any:
    return lax.while_loop(lambda y: abs(y * y - x) > 1e-12, lambda y: 0.5 * (y + x / y), x)


def _definite(x: Any) -> Any:
    rows = x.reshape(300, 20, 50)
    return rows @ rows.swapaxes(1, 2) + np.eye(20)


X = np.sin(np.arange(300_000.0)).reshape(600, 500)
FUNCTIONS = {
    "elementwise": lambda x: fnp.tanh(x) * fnp.exp(-x * x),
    "softmax": nn.softmax,
    "transposed": lambda x: fnp.sin(x.T) + 1.0,
    "rows": lambda x: (fnp.sum(x, axis=1), x - fnp.mean(x, axis=1, keepdims=True)),
    "columns": lambda x: fnp.sum(fnp.cos(x), axis=0),
    "everything": lambda x: (fnp.sum(fnp.cos(x)), fnp.argmax(x), nn.softmax(x, axis=(0, 1))),
    "gradient": ft.grad(lambda x: fnp.sum(nn.log_softmax(x)[:, 3] ** 2)),
    "examples": lambda x: ft.vmap(collatz)(fnp.ravel(x) * 100.0),
    "gradients of examples": lambda x: ft.vmap(ft.grad(root))(fnp.ravel(x)[:5000] + 2.0),
    "stack of factors": lambda x: fnp.linalg.cholesky(_definite(x)),
    "stack of solutions": lambda x: fnp.linalg.solve(
        _definite(x), x.reshape(300, 20, 50)[:, :, :3]
    ),
    "stack of determinants": lambda x: fnp.linalg.slogdet(_definite(x)),
    "stack of eigenvectors": lambda x: fnp.linalg.eigh(_definite(x)),
    "stack of singular vectors": lambda x: fnp.linalg.svd(x.reshape(300, 20, 50)),
    "stack of bases": lambda x: fnp.linalg.qr(x.reshape(300, 20, 50)),
    "several": lambda x: (fnp.sin(x), fnp.sort(fnp.cos(x), axis=1), fnp.exp(x) @ x.T),
}


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_divided_and_undivided_give_the_same_bits(name: str, monkeypatch: Any) -> None:
    f = FUNCTIONS[name]
    program = ft.make_program(f)(X)
    from functrans.compiler.compile import Compiled

    divided = Compiled(program)
    assert "pieces" in divided.source
    results = [divided([X]) for _ in range(20)]
    monkeypatch.setattr(threads, "num_threads", lambda: 1)
    alone = Compiled(program)
    assert "pieces" not in alone.source
    want = alone([X])
    for got in results:
        for g, w in zip(got, want, strict=True):
            assert np.asarray(g).tobytes() == np.asarray(w).tobytes()


@pytest.mark.parametrize("extent", [1, 2, 3, 63, 64, 65, 1000, 8191, 8192, 8193, 100_001])
def test_every_iteration_is_done_once(extent: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(lower, "pieces", lambda extent, nanoseconds: min(extent, 7))
    f = ft.jit(lambda x: x * 2.0 + 1.0)
    x = np.arange(float(extent))
    for _ in range(50):
        np.testing.assert_array_equal(f(x), x * 2.0 + 1.0)


def test_many_callers_at_once() -> None:
    fs = [ft.jit(f) for f in FUNCTIONS.values()]
    want = [ft.tree.leaves(f(X)) for f in fs]

    def call(k: int) -> bool:
        i = k % len(fs)
        got = ft.tree.leaves(fs[i](X))
        return all(np.array_equal(g, w) for g, w in zip(got, want[i], strict=True))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(200)))


CHILD = """
import os, numpy as np, functrans as ft
f = ft.jit(lambda x: ft.numpy.sin(x) * 2)
x = np.linspace(0, 1, 500_000)
want = f(x)
pid = os.fork()
if pid == 0:
    same = np.array_equal(f(x), want)
    g = ft.jit(lambda x: ft.numpy.cos(x) * 3)
    same = same and np.allclose(g(x), np.cos(x) * 3) and np.array_equal(f(x), want)
    os._exit(0 if same else 1)
assert os.waitpid(pid, 0)[1] == 0
assert np.array_equal(f(x), want)
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_computes_too() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "fine", done.stderr


@pytest.mark.parametrize(
    ("value", "expected"), [("1", "1"), ("3", "3"), ("zero", "error"), ("0", "error")]
)
def test_the_number_of_threads_can_be_chosen(value: str, expected: str) -> None:
    code = (
        "from functrans.compiler import threads\nfrom functrans.core.errors import FunctransError\n"
        "try: print(threads.num_threads())\nexcept FunctransError: print('error')"
    )
    environment = {**os.environ, "FUNCTRANS_NUM_THREADS": value}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == expected
