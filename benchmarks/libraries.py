"""What the workloads see of each library: one namespace, so that a workload is written once.

functrans and JAX share their names. PyTorch runs eagerly, with its own layers and optimizer
(layers.py); the few functions that it calls otherwise are wrapped here. autograd runs eagerly too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks import layers
from benchmarks.trees import leaves_of, map_tree


@dataclass(frozen=True)
class Library:
    """A library under the names of the workloads.

    Attributes:
        numpy: functions of arrays under NumPy's names.
        jit, value_and_grad: under JAX's names.
        asarray, block: into the library's arrays; wait until results are there.
        nn: layers and training steps, see layers.py.
        more: `vmap`, `hessian`, `scan`, `while_loop` … where it has them.
    """

    name: str
    numpy: Any
    jit: Callable[..., Any]
    value_and_grad: Callable[..., Any]
    asarray: Callable[[Any], Any]
    block: Callable[[Any], Any]
    nn: Any
    more: Any = field(default_factory=SimpleNamespace)

    def grad(self, f: Callable[..., Any], argnums: Any = 0) -> Callable[..., Any]:
        """The gradient alone."""
        both = self.value_and_grad(f, argnums)
        return lambda *args: both(*args)[1]


def load(name: str) -> Library:
    """Import a library, with 64-bit types on."""
    return {"functrans": _functrans, "jax": _jax, "torch": _torch, "autograd": _autograd}[name]()


def _functrans() -> Library:
    import functrans as ft

    return Library(
        "functrans",
        ft.numpy,
        ft.jit,
        ft.value_and_grad,
        np.asarray,
        lambda x: x,
        layers.formulas(ft.numpy, ft.value_and_grad, ft.lax),
        _jax_like(ft),
    )


def _jax() -> Library:
    import jax

    jax.config.update("jax_enable_x64", True)
    return Library(
        "jax",
        jax.numpy,
        jax.jit,
        jax.value_and_grad,
        jax.numpy.asarray,
        jax.block_until_ready,
        layers.formulas(jax.numpy, jax.value_and_grad, jax.lax),
        _jax_like(jax),
    )


def _jax_like(ft: Any) -> SimpleNamespace:
    lax = importlib.import_module(f"{ft.__name__}.lax")
    random = importlib.import_module(f"{ft.__name__}.random")
    xp = importlib.import_module(f"{ft.__name__}.numpy")

    return SimpleNamespace(
        vmap=ft.vmap,
        hessian=ft.hessian,
        jacobian=ft.jacfwd,
        scan=lax.scan,
        while_loop=lax.while_loop,
        fori_loop=lax.fori_loop,
        random=random,
        cholesky=xp.linalg.cholesky,
        triangular=lambda a, b: importlib.import_module(
            f"{ft.__name__}.scipy"
        ).linalg.solve_triangular(a, b, lower=True),
        lgamma=lambda x: lax.lgamma(x),
    )


def _torch() -> Library:
    import torch

    names = "exp log tanh sin cos sqrt abs matmul einsum where sigmoid stack arange ones zeros"
    xp = SimpleNamespace(**{n: getattr(torch, n) for n in names.split()})
    xp.max = lambda x, axis, keepdims=False: torch.amax(x, axis, keepdim=keepdims)
    xp.sum = lambda x, axis=None, keepdims=False: (
        torch.sum(x) if axis is None else torch.sum(x, axis, keepdim=keepdims)
    )
    xp.mean = lambda x, axis=None, keepdims=False: (
        torch.mean(x) if axis is None else torch.mean(x, axis, keepdim=keepdims)
    )
    xp.concatenate = lambda xs, axis=0: torch.cat(xs, axis)
    xp.reshape = torch.reshape
    xp.swapaxes = torch.swapaxes
    xp.eye = lambda n: torch.eye(n, dtype=torch.float64)

    def value_and_grad(f: Callable[..., Any], argnums: Any = 0) -> Callable[..., Any]:
        def both(*args: Any) -> Any:
            positions = (argnums,) if isinstance(argnums, int) else argnums
            given = list(args)
            for i in positions:
                given[i] = map_tree(lambda x: x.detach().requires_grad_(True), args[i])
            value = f(*given)
            wanted = [given[i] for i in positions]
            found = iter(torch.autograd.grad(value, leaves_of(wanted)))
            gradients = map_tree(lambda _: next(found), wanted)
            return value.detach(), gradients[0] if isinstance(argnums, int) else tuple(gradients)

        return both

    def scan(step: Callable[..., Any], carry: Any, xs: Any) -> Any:
        ys = []
        for x in xs:
            carry, y = step(carry, x)
            ys.append(y)
        return carry, None if ys[0] is None else torch.stack(ys)

    more = SimpleNamespace(
        vmap=torch.vmap,
        inner_grad=torch.func.grad,
        hessian=torch.func.hessian,
        scan=scan,
        cholesky=torch.linalg.cholesky,
        triangular=lambda a, b: torch.linalg.solve_triangular(a, b[:, None], upper=False)[:, 0],
        lgamma=torch.lgamma,
    )
    return Library(
        "torch",
        xp,
        lambda f: f,
        value_and_grad,
        lambda x: torch.as_tensor(np.array(x)),
        lambda x: x,
        layers.of_torch(),
        more,
    )


def _autograd() -> Library:
    import autograd
    import autograd.numpy as anp
    from autograd.builtins import list as a_list
    from autograd.builtins import tuple as a_tuple

    assert a_list and a_tuple  # the boxes that let lists and tuples be differentiated
    return Library(
        "autograd",
        anp,
        lambda f: f,
        autograd.value_and_grad,
        np.asarray,
        lambda x: x,
        layers.formulas(anp, autograd.value_and_grad),
    )
