"""Plans on disk: a second process neither lowers nor compiles, and never gets another's program."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.compiler import cache
from functrans.compiler.plans import load_plan, plan_key, save_plan
from functrans.core import primitive
from functrans.primitives.elementwise import elementwise
from functrans.transforms.inspect import make_program

SCRIPT = """
import sys
import numpy as np, functrans as ft, functrans.numpy as fnp
def f(x, n):
    def step(s, row):
        return fnp.tanh(s @ row), fnp.linalg.slogdet(row)[1]
    s, ys = ft.lax.scan(step, x, fnp.stack([fnp.eye(6) * (i + 1.5) for i in range(3)]))
    return fnp.sum(s) + fnp.sum(ys) + n
value, slope = ft.jit(ft.value_and_grad(f))(np.linspace(0.0, 1.0, 6), 2)
doubled = ft.jit(lambda a: a * 2.0, donate_argnums=0)(np.ones(20_000))
assert doubled[-1] == 2.0
loaded = [m for m in ("functrans.compiler.lower", "llvmlite.binding") if m in sys.modules]
print(repr(float(value)), slope.tobytes().hex(), loaded)
"""


def _run(folder: Path) -> list[str]:
    environment = {**os.environ, "FUNCTRANS_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.split(" ", 2)


def test_a_second_process_compiles_nothing_and_gets_the_same_bits(tmp_path: Path) -> None:
    first, second = _run(tmp_path), _run(tmp_path)
    assert first[:2] == second[:2]
    assert "lower" in first[2] and "lower" not in second[2]
    if sys.platform == "linux":
        assert "llvmlite" not in second[2]


@pytest.mark.parametrize("damage", ["cut", "other bytes", "removed"])
def test_what_is_damaged_is_made_anew(tmp_path: Path, damage: str) -> None:
    first = _run(tmp_path)
    for entry in tmp_path.glob("*.o"):
        data = entry.read_bytes()
        is_plan = b"\x7fELF" not in data
        if damage == "removed" and not is_plan:
            entry.unlink()
        elif damage != "removed" and is_plan:
            entry.write_bytes(data[:-9] if damage == "cut" else data[:-4] + b"\0\0\0\0")
    environment = {**os.environ, "FUNCTRANS_CACHE_DIR": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split(" ", 2)[:2] == first[:2]


def _key(f, *args):
    return plan_key(make_program(f)(*args), frozenset())


def test_keys_tell_programs_apart() -> None:
    x = np.ones(3)
    programs = [
        (lambda x: x + 0.0, x),
        (lambda x: x + -0.0, x),
        (lambda x: x * 2.0, x),
        (lambda x: x * 2.0, x.astype(np.float32)),
        (lambda x: x * 2.0, np.ones((3, 1))),
        (lambda x: fnp.sum(x), x),
        (lambda x: fnp.sum(x, keepdims=True), x),
        (lambda x: ft.lax.fori_loop(0, 3, lambda i, s: s * x, x), x),
        (lambda x: ft.lax.fori_loop(0, 3, lambda i, s: s + x, x), x),
    ]
    keys = [_key(f, arg) for f, arg in programs]
    assert None not in keys and len(set(keys)) == len(keys)
    assert _key(lambda x: x * 2.0, x) == keys[2]


def test_derivatives_of_loops_have_plans() -> None:
    def f(x, steps):
        return ft.lax.while_loop(lambda c: c[0] < steps, lambda c: (c[0] + 1, c[1] * x), (0, x))[1]

    keys = [_key(lambda x, n=n: ft.grad(f)(x, n), 2.0) for n in (3, 4)]
    keys += [_key(lambda x, n=n: ft.linearize(lambda x: f(x, n), x)[1](1.0), 2.0) for n in (3, 4)]
    assert len({*keys}) == 4
    assert None not in keys


def test_programs_with_functions_of_the_user_have_no_plan() -> None:
    def f(x):
        return ft.pure_callback(np.sin, ft.ShapeDtypeStruct((3,), np.float64), x)

    assert _key(f, np.ones(3)) is None
    np.testing.assert_allclose(ft.jit(f)(np.ones(3)), np.sin(np.ones(3)))


def test_programs_with_primitives_of_the_user_have_no_plan(monkeypatch) -> None:
    monkeypatch.setattr(primitive, "registry", dict(primitive.registry))
    triple = elementwise("triple", lambda x: 3 * x, kinds="f", emit=lambda b, x: b.add(x, x))
    assert _key(triple.bind, np.ones(3)) is None
    looped = lambda x: ft.lax.fori_loop(0, 3, lambda i, s: triple.bind(s), x)
    assert _key(looped, np.ones(3)) is None


def test_a_plan_goes_to_disk_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "directory", lambda: tmp_path)
    lowered = ft.jit(lambda x: fnp.sum(fnp.tanh(x) @ x)).lower(np.ones((4, 4)))
    lowered.compile()
    save_plan("0" * 64, lowered.schedule)
    known = load_plan("0" * 64)
    assert known is not None
    assert [len(b.entries) for b in known.main.walk()] == [
        len(b.entries) for b in lowered.schedule.main.walk()
    ]
    assert known.inputs == lowered.schedule.inputs and not known.kernels()
