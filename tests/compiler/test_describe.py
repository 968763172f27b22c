"""What the compiler shows: graphs with every step, and files for people."""

from pathlib import Path

import numpy as np

import functrans as ft
import functrans.numpy as fnp
from functrans import lax


def _loss(w, x):
    y = lax.fori_loop(0, 40, lambda i, s: fnp.tanh(s @ w), x)
    return fnp.sum(fnp.real(fnp.sort(fnp.fft.fft(y, axis=0))))


ARGS = np.eye(30), np.ones((30, 30))


def test_programs_are_graphs() -> None:
    program = ft.make_program(_loss)(*ARGS)
    dot, mermaid = program.to_dot(), program.to_mermaid()
    assert dot.startswith("digraph {") and dot.endswith("}")
    assert mermaid.startswith("flowchart TD")
    for text in (dot, mermaid):
        for equation in program.equations:
            assert equation.primitive.name in text
        assert "input 1" in text and "output 0" in text and "f64[30,30]" in text
        assert "test_describe.py" in text
    assert dot.count(" -> ") == mermaid.count(" -->|")


def test_schedules_are_graphs() -> None:
    lowered = ft.jit(ft.grad(_loss)).lower(*ARGS)
    dot = lowered.to_dot()
    steps = sum(1 for _ in lowered.schedule.entries())
    assert dot.count("shape=ellipse") == 3  # two inputs and an output
    assert dot.count("[label=") - dot.count(" -> ") - 3 == steps
    assert (
        "numpy_sort" in dot
        and "ft_fft_c128" in dot
        and "ft_gemm_f64" in dot
        and 'label="runs"' in dot
    )
    assert lowered.to_mermaid().count("-->|") == dot.count(" -> ")


def test_what_is_compiled_leaves_files(tmp_path: Path) -> None:
    with ft.config(dump_dir=tmp_path):
        ft.jit(lambda x: fnp.sum(fnp.exp(x)) * 3.25)(np.ones(7))
    (folder,) = tmp_path.iterdir()
    contents = {f.name: f.read_text("utf-8") for f in folder.iterdir()}
    assert sorted(contents) == [
        "kernels.ll",
        "kernels.s",
        "program.txt",
        "schedule.dot",
        "schedule.txt",
    ]
    assert "reduce_sum" in contents["program.txt"] and "exp(" in contents["schedule.txt"]
    assert "define" in contents["kernels.ll"] and "ret" in contents["kernels.s"]


def test_a_program_without_kernels_leaves_files_too(tmp_path: Path) -> None:
    with ft.config(dump_dir=tmp_path):
        ft.jit(lambda x: fnp.fft.fft(x))(np.arange(11.0) + 0j)
    assert {f.name for f in next(tmp_path.iterdir()).iterdir()} >= {"program.txt", "schedule.txt"}
