"""Ways to run what a Builder emits, and schedules.

`native(emit, dtypes, out)` is a function of 1-d arrays.
"""

import ctypes
import hashlib

import numpy as np
import pytest

from functrans.compiler import calls
from functrans.compiler.engine import compile_module
from functrans.compiler.llvm import Builder


def module(emit, dtypes, out):
    """The text of a module with one loop, and its function's name."""
    b = Builder()
    with b.loop("0", "%n") as i:
        operands = [b.load(f"%p{k}", i.text, d) for k, d in enumerate(dtypes)]
        result = emit(b, *operands)
        assert result.dtype == np.dtype(out), f"emitted {result.dtype}, not {out}"
        b.store(result, "%out", i.text)
    pointers = [f"ptr noalias %p{k}" for k in range(len(dtypes))]
    arguments = ", ".join([*pointers, "ptr noalias %out", "i64 %n"])
    text = "\n".join([f"define void @NAME({arguments}) {{", "entry:", *b.lines, "  ret void", "}"])
    text = "\n".join([*b.declarations, text])
    name = f"test.{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return text.replace("@NAME", f'@"{name}"'), name


@pytest.fixture(scope="session")
def native():
    """Compile an emit function into a function of 1-d arrays."""

    def build(emit, dtypes, out):
        text, name = module(emit, dtypes, out)
        address = compile_module(text, [name])[name]
        signature = [ctypes.c_void_p] * (len(dtypes) + 1) + [ctypes.c_int64]
        function = ctypes.CFUNCTYPE(None, *signature)(address)

        def run(*arrays):
            given = [np.ascontiguousarray(a, d) for a, d in zip(arrays, dtypes, strict=True)]
            result = np.empty(given[0].shape, out)
            function(*[a.ctypes.data for a in given], result.ctypes.data, given[0].size)
            return result

        return run

    return build


@pytest.fixture(scope="session")
def optimized():
    """The assembly of the loop around an emit function."""
    from functrans.compiler import engine

    def build(emit, dtypes, out):
        return engine.emit_assembly(module(emit, dtypes, out)[0])

    return build


@pytest.fixture(params=["native", "python"])
def any_dispatcher(request, monkeypatch):
    """Both ways from Python into a schedule."""
    if request.param == "python":
        monkeypatch.setattr(calls, "layout_is_known", lambda: False)
    return request.param
