"""LLVM IR as text → machine code in this process, through llvmlite, with object code kept on disk.

Fresh and cached code take one path: object bytes, loaded by functrans/compiler/elf.py where it can
and by one ORC engine elsewhere, each module apart, so names need only be distinct within it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from itertools import count
from typing import Any

from functrans.compiler import cache as disk
from functrans.compiler import elf, misencoding

FORMAT = "4"
"""Part of every key: raise it when the way IR becomes object code changes."""

_lock = threading.RLock()
_libraries: dict[Any, dict[str, int]] = {}
"""Addresses of loaded functions, by key and bound symbols."""
_serial = count()


class Effort(StrEnum):
    """What LLVM does with a module.

    OPTIMIZE is for loops over elements. GENERATE is for text that has the vectors and the order of
    instructions that it should have, and needs registers only: 20 ms for the kernel of a matrix
    product, which optimised takes 60 and runs no faster, and loops around LAPACK, which optimised
    take 170. TRANSLATE is for text of which not even that counts: 12 ms for the runtime instead of
    77, for 0.03 µs more per leaf of a call.
    """

    OPTIMIZE = "optimize"
    GENERATE = "generate"
    TRANSLATE = "translate"


def compile_module(
    ir: str,
    names: Sequence[str],
    symbols: Mapping[str, int] | None = None,
    effort: Effort = Effort.OPTIMIZE,
) -> dict[str, int]:
    """The addresses of functions of a module, compiled or loaded from the cache.

    Args:
        ir: the text of a module; functions need neither a target nor attributes of the processor.
        names: of the functions wanted.
        symbols: addresses for functions that the module declares and that the process does not
            export by this name. They are bound when the code is loaded and are not part of it, so
            the code stays good for another process, where addresses differ.
        effort: what LLVM does with the text.

    Raises:
        RuntimeError: the text is not valid IR, or a symbol is not found (LLVM prints which).
    """
    with _lock:
        key = module_key(ir, effort)
        bound = dict(symbols or {})
        identity = (key, tuple(sorted(bound.items())))
        library = _libraries.get(identity)
        if library is None or not all(name in library for name in names):
            code = disk.load(key)
            if code is None:
                code = _emit(ir, effort)
                disk.save(key, code)
            known = library or {}
            library = _load(code, list(dict.fromkeys([*known, *names])), bound)
            _libraries[identity] = library
        return {name: library[name] for name in names}


def module_key(ir: str, effort: Effort = Effort.OPTIMIZE) -> str:
    """The name under which the object code of a module is kept on disk."""
    return disk.key_of(FORMAT, *target(), effort, ir)


def load_module(key: str, names: Sequence[str], symbols: Mapping[str, int]) -> dict[str, int]:
    """The addresses of functions of a module that was compiled before; none if it is not there."""
    with _lock:
        code = disk.load(key)
        return {} if code is None else _load(code, names, symbols)


def keep_for_ever(x: Any) -> Any:
    """Never destroy an object, not even when the interpreter ends: native code has its address, and
    arrays and functions that call it may be destroyed later than any module."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(x))
    return x


def emit_assembly(ir: str) -> str:
    """The optimised machine code of a module as text, for people."""
    with _lock:
        return str(_machine().emit_assembly(_optimized(ir)))


def _llvm() -> Any:
    """llvmlite's binding, imported at first use: it costs 30 ms, its IR builder would cost more."""
    import llvmlite.binding as llvm

    return llvm


@cache
def target() -> tuple[str, ...]:
    """What object code depends on besides the IR: LLVM, platform, processor."""
    import llvmlite

    if elf.available():
        return llvmlite.__version__, "elf", elf.processor()
    return llvmlite.__version__, _llvm().get_process_triple(), *_processor()


def _processor() -> tuple[str, str]:
    """Name and features; with those that are off, as a virtual machine may lack some that its
    processor's name implies."""
    llvm = _llvm()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


@cache
def vector_registers() -> tuple[int, int]:
    """Bytes of the widest vector registers of this processor, and how many of them it has."""
    features = elf.processor() if elf.available() else _processor()[1]
    words = features.replace(",", " ").replace("+", "").split()
    if "avx512vl" in words:
        return 64, 32
    if "avx2" in words:
        return 32, 16
    return 16, 32 if platform.machine().lower() in ("aarch64", "arm64") else 16


@cache
def _machine() -> Any:
    return _new_machine()


def _new_machine(opt: int = 3) -> Any:
    """A target machine for this processor.

    Position-independent code in the small model: constants are memory operands instead of
    registers. Vectors of 512 bits where there are any, also where LLVM would prefer 256: measured
    0.10 against 0.19 ns per float32 element of a polynomial.
    """
    llvm = _llvm()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = _processor()
    if "+avx512f" in features.split(","):
        features += ",-prefer-256-bit"
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu, features=features, opt=opt, reloc="pic", codemodel="small"
    )


@cache
def _engine() -> Any:
    """The one engine. JITLink keeps the sections of an object within reach of each other."""
    compiler = _llvm().create_lljit_compiler
    return keep_for_ever(compiler(_new_machine(), use_jit_link=sys.platform != "win32"))


def _parsed(ir: str) -> Any:
    module = _llvm().parse_assembly(ir)
    module.triple = _machine().triple
    module.data_layout = str(_machine().target_data)
    module.verify()
    return module


def _optimized(ir: str, of_loops: bool = True, of_the_rest: bool = True) -> Any:
    """The module after LLVM's passes, which make vectors of loops, and of other code."""
    llvm, machine, module = _llvm(), _machine(), _parsed(ir)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = of_loops
    options.slp_vectorization = of_the_rest
    options.loop_interleaving = True
    options.loop_unrolling = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def _is_misencoded(module: Any) -> bool:
    """Whether code generation goes wrong: assembly shows it, made of the functions that may."""
    if not misencoding.has_registers(_processor()[1]):
        return False
    part = misencoding.suspects(str(module))
    if part is None:
        return False
    return misencoding.is_in(_machine().emit_assembly(_llvm().parse_assembly(part)))


def _emit(ir: str, effort: Effort) -> bytes:
    """The object code of a module."""
    if effort is Effort.OPTIMIZE:
        for vectors in ((True, True), (True, False), (False, False)):
            module = _optimized(ir, *vectors)
            if not _is_misencoded(module):
                break
        return bytes(_machine().emit_object(module))
    machine = _machine() if effort is Effort.GENERATE else _new_machine(opt=0)
    return bytes(machine.emit_object(_parsed(ir)))


def _load(code: bytes, names: Sequence[str], symbols: Mapping[str, int]) -> dict[str, int]:
    if elf.available():
        return elf.load(code, names, symbols)
    builder = _llvm().JITLibraryBuilder().add_object_img(code).add_current_process()
    for name, address in symbols.items():
        builder.import_symbol(name, address)
    for name in names:
        builder.export_symbol(name)
    tracker = keep_for_ever(builder.link(_engine(), f"functrans{next(_serial)}"))
    return {name: tracker[name] for name in names}


def _after_fork() -> None:
    """Another thread of the parent may have held the lock; it does not exist in the child."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
