"""Object code loaded without LLVM: every kind of reference that LLVM writes, and clear refusals."""

import ctypes
import math

import pytest

from functrans.compiler import elf, engine
from functrans.compiler.engine import Effort

pytestmark = pytest.mark.skipif(not elf.available(), reason="Linux on x86-64 only")

MODULE = """
@table = private constant [4 x double] [double 1.0, double 2.0, double 4.0, double 8.0]
@pointer = global ptr @here
@counter = internal global i64 40
@elsewhere = external global i64
declare double @sin(double)
declare i64 @ft_given(i64)

define double @constants(i64 %i) {
  %at = getelementptr double, ptr @table, i64 %i
  %x = load double, ptr %at
  %y = fmul double %x, 3.25
  ret double %y
}
define double @outside(double %x) {
  %y = call double @sin(double %x)
  ret double %y
}
define i64 @given(i64 %x) {
  %y = call i64 @ft_given(i64 %x)
  ret i64 %y
}
define i64 @here(i64 %x) {
  %y = add i64 %x, 1
  ret i64 %y
}
define i64 @indirect(i64 %x) {
  %f = load ptr, ptr @pointer
  %y = call i64 %f(i64 %x)
  ret i64 %y
}
define i64 @count() {
  %n = load i64, ptr @counter
  %m = add i64 %n, 1
  store i64 %m, ptr @counter
  ret i64 %m
}
define i64 @far() {
  %n = load i64, ptr @elsewhere
  ret i64 %n
}
"""
NAMES = ["constants", "outside", "given", "indirect", "count", "far"]
I64, F64 = ctypes.c_int64, ctypes.c_double


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("with_llvm", [False, True])
def test_every_kind_of_reference(
    effort: Effort, with_llvm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here, and as on other platforms."""
    code = engine._emit(MODULE, effort)
    monkeypatch.setattr(elf, "available", lambda: not with_llvm)
    given = ctypes.CFUNCTYPE(I64, I64)(lambda x: 7 * x)
    cell = I64(123)
    symbols = {
        "ft_given": ctypes.cast(given, ctypes.c_void_p).value or 0,
        "elsewhere": ctypes.addressof(cell),
    }
    found = engine._load(code, NAMES, symbols)

    def call(name: str, result: type, *arguments: object) -> object:
        return ctypes.CFUNCTYPE(result, *map(type, arguments))(found[name])(*arguments)

    assert call("constants", F64, I64(2)) == 13.0
    assert call("outside", F64, F64(0.5)) == math.sin(0.5)
    assert call("given", I64, I64(6)) == 42
    assert call("indirect", I64, I64(4)) == 5
    assert [call("count", I64), call("count", I64)] == [41, 42]
    assert call("far", I64) == 123


def test_modules_have_memory_of_their_own() -> None:
    code = engine._emit(MODULE, Effort.OPTIMIZE)
    symbols = {"ft_given": 1, "elsewhere": 1}
    first, second = (elf.load(code, NAMES, symbols)["count"] for _ in range(2))
    count = ctypes.CFUNCTYPE(I64)
    assert [count(first)(), count(first)(), count(second)()] == [41, 42, 41]


def test_refusals_name_what_is_wrong() -> None:
    code = engine._emit(MODULE, Effort.OPTIMIZE)
    with pytest.raises(RuntimeError, match="calls ft_given, which this process has not"):
        elf.load(code, NAMES, {"elsewhere": 1})
    with pytest.raises(RuntimeError, match=r"does not define \['nothing'\]"):
        elf.load(code, ["nothing"], {"ft_given": 1, "elsewhere": 1})
    with pytest.raises(RuntimeError, match="no object code for x86-64"):
        elf.load(b"something else" * 9, NAMES, {})
