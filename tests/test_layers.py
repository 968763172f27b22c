"""The layers: each folder imports only those above it, and `import functrans` stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "functrans"
LAYERS = [
    ["core", "tree_util"],
    ["transforms"],
    ["primitives"],
    ["compiler"],
    ["numpy"],
    ["lax", "nn", "ops", "optim", "random", "scipy", "image", "integrate", "test_util"],
    ["analysis"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

UPWARDS = {
    # inside functions only, where a lower layer offers on a user's object what a higher one does
    ("core", "numpy"): "methods of tracers are functions of functrans.numpy",
    ("transforms", "primitives"): "zeros, unit vectors and their pieces are arrays of the program",
    ("numpy", "scipy"): "SciPy's ufuncs on tracers are functions of functrans.scipy",
    ("compiler", "analysis"): "Lowered.cost_analysis",
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, bool]]:
    """(layer of functrans, whether at module level) of every import; type checking's excepted."""
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, top: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{a.name}" for a in node.names]
            found.extend((n.split(".")[1], top) for n in names if n.startswith("functrans."))
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names if a.name.startswith("functrans.")]
            found.extend((n.split(".")[1], top) for n in names)
        inner = top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(ast.parse(path.read_text("utf-8")), True)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_up_only(path: Path) -> None:
    layer = layer_of(path)
    if layer == "__init__":
        return
    for other, top in imports(path):
        assert other in LEVEL, f"functrans.{other} has no layer: add it to this test and docs"
        if LEVEL[other] > LEVEL[layer]:
            assert not top, f"{layer} imports {other}, which lies above it"
            assert (layer, other) in UPWARDS, f"{layer} uses {other} without a reason in this test"


def test_every_exception_is_needed() -> None:
    used = {(layer_of(p), other) for p in modules() for other, _ in imports(p)}
    assert set(UPWARDS) <= used


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_loads_no_compiler() -> None:
    heavy = [
        "llvmlite",
        "numba",
        "scipy",
        "jax",
        "functrans.compiler.compile",
        "functrans.compiler.llvm",
    ]
    loaded = run(f"import sys, functrans; print([m for m in {heavy} if m in sys.modules])")
    assert loaded == "[]"


def test_what_is_named_is_imported_then() -> None:
    names = ["image", "integrate", "nn", "ops", "optim", "random", "scipy", "tree_util"]
    loaded = f"[n for n in {names} if 'functrans.' + n in sys.modules]"
    assert run(f"import sys, functrans; print({loaded})") == "[]"
    named = "; ".join(f"functrans.{n}.__name__" for n in names)
    assert run(f"import sys, functrans; {named}; print({loaded})") == str(names)
    assert run(f"import functrans; print(set({names}) <= set(dir(functrans)))") == "True"
    missing = "try: functrans.optimizers\nexcept AttributeError as error: print(error)"
    assert run(f"import functrans\n{missing}") == (
        "module 'functrans' has no attribute 'optimizers'"
    )


def test_a_compile_without_products_loads_no_scipy() -> None:
    used = "import sys, functrans as ft; ft.jit(lambda x: x * 2.0)(1.0)"
    assert run(f"{used}; print('scipy' in sys.modules)") == "False"
