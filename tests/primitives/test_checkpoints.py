"""What a checkpoint's policy does not keep is computed again, and its memory is saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax, nn
from functrans import numpy as fnp
from functrans.core.program import Program, programs_in
from functrans.primitives.checkpoints import checkpoint, checkpoint_policies
from functrans.primitives.identities import checkpoint_name
from functrans.test_util import check_grads
from functrans.transforms.inspect import make_program
from functrans.transforms.linearize import linearize_program

DEPTH, PIECE, SIZE = 12, 4, 64
rng = np.random.default_rng(0)
weights = [rng.normal(size=(SIZE, SIZE)) / 8 for _ in range(DEPTH)]
x = rng.normal(size=(SIZE, SIZE))
UNIT = x.nbytes

none = "no checkpoint"
policies = {
    "nothing": checkpoint_policies.nothing_saveable,
    "dots": checkpoint_policies.dots_saveable,
    "unbatched dots": checkpoint_policies.dots_with_no_batch_dims_saveable,
    "everything": checkpoint_policies.everything_saveable,
    "named": checkpoint_policies.save_only_these_names("product"),
    "any name but": checkpoint_policies.save_any_names_but_these("curve"),
    "both": checkpoint_policies.save_from_both_policies(
        checkpoint_policies.save_only_these_names("product"),
        checkpoint_policies.save_only_these_names("curve"),
    ),
}


def piece(ws: Any, x: Any) -> Any:
    for w in ws:
        product = checkpoint_name(x @ w, "product")
        x = fnp.tanh(checkpoint_name(fnp.exp(-product * product), "curve"))
    return x


def chain(policy: str, **options: Any) -> Any:
    block = piece if policy == none else checkpoint(piece, policy=policies[policy], **options)

    def loss(x: Any, ws: Any) -> Any:
        for i in range(0, DEPTH, PIECE):
            x = block(ws[i : i + PIECE], x)
        return fnp.sum(x * x)

    return loss


def units(f: Any, *args: Any) -> float:
    """Temporary memory in arrays like x."""
    return ft.jit(f).lower(*args).compile().memory_analysis()["temp_size_in_bytes"] / UNIT


def primitives(program: Program) -> Iterator[str]:
    for e in program.equations:
        yield e.primitive.name
        for inner in programs_in(e.params):
            yield from primitives(inner)


def count(f: Any, *args: Any) -> dict[str, int]:
    """How many products and tanhs the compiled program has, from its own listing."""
    from functrans.compiler.lower import prepare

    names = list(primitives(prepare(ft.make_program(f)(*args))))
    return {name: names.count(name) for name in ("dot_general", "tanh", "exp")}


@pytest.mark.parametrize("policy", policies)
def test_derivatives_do_not_depend_on_the_policy(policy: str) -> None:
    want = ft.grad(chain(none), (0, 1))(x, weights)
    for f in (ft.grad(chain(policy), (0, 1)), ft.jit(ft.grad(chain(policy), (0, 1)))):
        for a, b in zip(ft.tree.leaves(f(x, weights)), ft.tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_memory_is_ordered_as_what_the_policies_keep() -> None:
    memory = {p: units(ft.grad(chain(p)), x, weights) for p in (none, *policies)}
    assert memory["nothing"] < memory["dots"] < memory["everything"] <= memory[none] + 1, memory
    assert memory["unbatched dots"] == memory["dots"]
    assert memory["nothing"] < memory["named"] <= memory["dots"] + 1
    # the checkpointed pieces keep their arguments, and one piece at a time is there whole
    assert memory["nothing"] <= DEPTH / PIECE + 2 * PIECE + 3


def test_what_is_not_kept_is_computed_again() -> None:
    forward = {"dot_general": DEPTH, "tanh": DEPTH, "exp": DEPTH}
    gradient = ft.grad(chain(none))
    assert count(chain(none), x, weights) == forward
    assert count(gradient, x, weights) == forward | {"dot_general": 2 * DEPTH}
    pieces = DEPTH // PIECE
    # the last product of a piece is needed in it, its tanh only in what follows
    again = count(ft.grad(chain("nothing")), x, weights)
    assert again["dot_general"] == 3 * DEPTH
    assert 2 * DEPTH - pieces <= again["tanh"] <= 2 * DEPTH
    dots = count(ft.grad(chain("dots")), x, weights)
    assert dots["dot_general"] == 2 * DEPTH and dots["exp"] == 2 * DEPTH
    assert count(ft.grad(chain("everything")), x, weights) == count(gradient, x, weights)


EXPANDED = {  # what the compiler writes in terms of other primitives
    "cumsum": lambda x: fnp.sum(fnp.cumsum(x, axis=0)),
    "argmax": lambda x: x[fnp.argmax(x[0]), 0],
    "dot": lambda x: (x.ravel() @ x.ravel()) ** 2,
    "sort": lambda x: fnp.sum(fnp.sort(x, axis=0)[0]),
    "window": lambda x: fnp.sum(nn.max_pool(x[None, :, :, None], (2, 2))),
}


@pytest.mark.parametrize("name", EXPANDED)
def test_what_is_expanded_elsewhere_changes_nothing(name: str) -> None:
    def loss(policy: str) -> Any:
        return ft.grad(lambda x, ws: chain(policy)(x, ws) + EXPANDED[name](x))

    again = count(loss("nothing"), x, weights)
    assert again["dot_general"] - count(loss(none), x, weights)["dot_general"] == DEPTH
    assert units(loss("nothing"), x, weights) <= units(loss(none), x, weights) - DEPTH


def test_without_prevent_cse_the_compiler_may_merge_the_second_run_with_the_first() -> None:
    free = ft.grad(chain("nothing", prevent_cse=False))
    assert count(free, x, weights) == count(ft.grad(chain(none)), x, weights)


def test_nested_checkpoints_keep_less_than_one() -> None:
    inner = checkpoint(piece)
    outer = checkpoint(lambda ws, x: inner(ws[2:], inner(ws[:2], x)))

    def loss(block: Any) -> Any:
        return lambda x: fnp.sum(block(weights[4:8], block(weights[:4], x)) ** 2)

    np.testing.assert_allclose(ft.grad(loss(outer))(x), ft.grad(loss(piece))(x), rtol=1e-9)
    assert units(ft.grad(loss(outer)), x) < units(ft.grad(loss(checkpoint(piece))), x)
    v = np.float64(0.3)
    scalar = lambda f: lambda v: fnp.sum(f([np.eye(2)] * 4, fnp.stack([v, v * v])[None]))
    np.testing.assert_allclose(ft.hessian(scalar(outer))(v), ft.hessian(scalar(piece))(v))


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("policy", policies)
def test_scan_keeps_of_its_body_what_the_policy_says(policy: str, jitted: bool) -> None:
    stack = np.stack(weights)

    def final(body: Any) -> Any:
        return lambda x: fnp.sum(lax.scan(lambda c, w: (body([w], c), None), x, stack)[0])

    wrap = ft.jit if jitted else lambda f: f
    body = checkpoint(piece, policy=policies[policy], prevent_cse=False)
    got, want = wrap(ft.grad(final(body)))(x), ft.grad(final(piece))(x)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_memory_of_a_scan_is_ordered_by_policy() -> None:
    pairs = np.stack(weights).reshape(DEPTH // 2, 2, SIZE, SIZE)

    def memory(policy: str) -> float:
        body = piece if policy == none else checkpoint(piece, policy=policies[policy])
        final = lambda x: fnp.sum(lax.scan(lambda c, w: (body(w, c), None), x, pairs)[0])
        return units(ft.grad(final), x)

    # a loop makes a few things again by itself, but not what a policy saves
    assert memory("nothing") < memory("dots") < memory(none) <= memory("everything")


def test_static_arguments_by_name_and_by_position() -> None:
    def power(x: Any, n: int = 2, *, scale: str = "one") -> Any:
        assert isinstance(n, int) and isinstance(scale, str)
        return x**n * (1.0 if scale == "one" else 10.0)

    f = checkpoint(power, static_argnums=1, static_argnames=("n", "scale"))
    assert ft.grad(f)(3.0, 2, scale="ten") == 60.0
    assert ft.grad(lambda x: f(x, n=3))(2.0) == 12.0
    assert ft.jit(ft.grad(lambda x: f(x, n=3, scale="one")))(2.0) == 12.0
    g = checkpoint(static_argnames="n", prevent_cse=False)(power)
    assert ft.grad(lambda x: g(x, n=3))(2.0) == 12.0


# --- the Programs of a checkpoint ---

xs = np.array([0.5, 1.5, -2.0])


def two_layers(x: Any) -> Any:
    hidden = checkpoint_name(fnp.dot(np.ones((3, 3)), x * x), "hidden")
    return fnp.sum(hidden * hidden * x)


@pytest.mark.parametrize(
    ("policy", "saved"),
    [
        (None, []),
        (checkpoint_policies.nothing_saveable, []),
        (checkpoint_policies.dots_saveable, [(3,)]),
        (checkpoint_policies.save_only_these_names("hidden"), [(3,)]),
        (checkpoint_policies.save_only_these_names("other"), []),
        (checkpoint_policies.checkpoint_dots, [(3,)]),
    ],
)
def test_policies_save_what_they_say(policy: Any, saved: list) -> None:
    f = checkpoint(two_layers, policy=policy)
    np.testing.assert_allclose(ft.grad(f)(xs), ft.grad(two_layers)(xs))
    check_grads(f, (xs,), 2, rtol=1e-4, atol=1e-4)
    program = linearize_program(make_program(f)(xs), (True,))
    outputs = program.forward.outputs[1:]
    assert [a.aval.shape for a in outputs if a not in program.forward.inputs] == saved
    assert sum(a in program.forward.inputs for a in outputs) == 1


def test_everything_saveable_computes_nothing_again() -> None:
    f = checkpoint(two_layers, policy=checkpoint_policies.everything_saveable)
    program = linearize_program(make_program(f)(xs), (True,))
    (equation,) = [e for e in program.linear.equations if e.primitive.name == "checkpoint"]
    inner = equation.params["program"]
    dots = [e for e in inner.equations if e.primitive.name == "dot_general"]
    assert len(dots) == 1  # of the tangent alone
    np.testing.assert_allclose(ft.grad(f)(xs), ft.grad(two_layers)(xs))


def test_recomputation_stands_behind_a_barrier() -> None:
    names = [e.primitive.name for e in make_program(ft.grad(checkpoint(two_layers)))(xs).equations]
    assert "optimization_barrier" in names
    free = checkpoint(two_layers, prevent_cse=False)
    names = [e.primitive.name for e in make_program(ft.grad(free))(xs).equations]
    assert "optimization_barrier" not in names


def test_checkpoint_of_a_scan_body_keeps_only_the_carry() -> None:
    def step(c: Any, x: Any) -> Any:
        for _ in range(5):
            c = c * c * x + c
        return c, None

    def final(f: Any) -> Any:
        return lambda c: lax.scan(f, c, xs)[0]

    program = make_program(ft.grad(final(checkpoint(step))))(0.3)
    first = next(e for e in program.equations if e.primitive.name == "scan")
    assert [v.aval.shape for v in first.outputs] == [(), (3,)]
    assert np.isclose(ft.grad(final(checkpoint(step)))(0.3), ft.grad(final(step))(0.3))


def test_checkpoint_takes_static_arguments_keywords_and_jitted_functions() -> None:
    f = checkpoint(lambda n, x, *, scale: scale * x**n, static_argnums=0)
    assert ft.grad(lambda x: f(3, x, scale=2.0))(2.0) == 24.0
    g = checkpoint(ft.jit(two_layers), policy=checkpoint_policies.dots_saveable)
    np.testing.assert_allclose(ft.grad(g)(xs), ft.grad(two_layers)(xs))
