"""LLVM IR → machine code in this process, through llvmlite, with the object code kept on disk."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from functrans.compiler import cache as disk

_lock = threading.RLock()
_engines: list[Any] = []
"""Engines own the code they loaded, so they live as long as the process."""


def compile_module(ir: str, names: Sequence[str]) -> dict[str, int]:
    """The addresses of functions of a module, compiled or loaded from the cache.

    Args:
        ir: the text of a module.
        names: of the functions wanted.
    """
    with _lock:
        key = disk.key_of(ir, *_machine())
        code = disk.load(key)
        if code is None:
            code = _emit(ir)
            disk.save(key, code)
        return _load(code, names)


def _llvm() -> Any:
    import llvmlite.binding as llvm

    return llvm


@cache
def _machine() -> tuple[str, str, str]:
    """Version of LLVM, name and features of the processor: what object code depends on."""
    llvm = _llvm()
    features = llvm.get_host_cpu_features()
    on = ",".join(sorted(("+" if v else "-") + k for k, v in features.items()))
    return ".".join(map(str, llvm.llvm_version_info)), llvm.get_host_cpu_name(), on


@cache
def _target_machine() -> Any:
    llvm = _llvm()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    _, cpu, features = _machine()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="static", codemodel="jitdefault", jit=True
    )


def _emit(ir: str) -> bytes:
    """Optimise a module and give its object code."""
    llvm = _llvm()
    machine = _target_machine()
    module = llvm.parse_assembly(ir)
    module.triple = llvm.get_process_triple()
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = True
    options.loop_interleaving = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)


def _load(code: bytes, names: Sequence[str]) -> dict[str, int]:
    llvm = _llvm()
    _target_machine()
    empty = llvm.parse_assembly("")
    engine = llvm.create_mcjit_compiler(empty, _fresh_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return {name: engine.get_function_address(name) for name in names}


def _fresh_machine() -> Any:
    """An engine takes ownership of its target machine, so each gets its own."""
    _, cpu, features = _machine()
    target = _llvm().Target.from_default_triple()
    return target.create_target_machine(cpu=cpu, features=features, opt=3, jit=True)
