"""Pooling is that of flax; convolutional layers are pairs whose shapes agree with their results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import nn
from functrans.core.errors import ShapeError
from functrans.test_util import check_grads

RNG = np.random.default_rng(0)
POOLS = [(nn.max_pool, np.max, -np.inf), (nn.min_pool, np.min, np.inf), (nn.avg_pool, np.mean, 0)]


@pytest.mark.parametrize(("pool", "fold", "fill"), POOLS)
@pytest.mark.parametrize(
    ("lead", "space", "window", "strides", "padding"),
    [
        ((2,), (6, 5), (2, 2), None, "VALID"),
        ((2,), (6, 5), (2, 3), (2, 1), [(1, 0), (1, 1)]),
        ((2, 3), (5,), (3,), (2,), [(1, 1)]),
        ((), (4, 4), (2, 2), (2, 2), "VALID"),
        ((2,), (3, 4, 3), (2, 2, 2), (1, 2, 1), [(0, 1), (1, 1), (1, 0)]),
        ((2,), (9,), (2,), (4,), [(1, 0)]),
        ((), (8, 7), (6, 7), (2, 1), [(2, 2), (3, 1)]),
        ((2,), (4,), (5,), (2,), "VALID"),
        ((0,), (4,), (2,), (2,), [(1, 0)]),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_pools_fold_windows(
    pool: Any,
    fold: Any,
    fill: float,
    lead: Any,
    space: Any,
    window: Any,
    strides: Any,
    padding: Any,
    dtype: str,
) -> None:
    x = RNG.normal(size=(*lead, *space, 3)).astype(dtype)
    got = pool(x, window, strides, padding)
    pads = [(0, 0)] * len(space) if padding == "VALID" else padding
    wide = np.pad(x, [(0, 0)] * len(lead) + list(pads) + [(0, 0)], constant_values=fill)
    axes = tuple(range(len(lead), len(lead) + len(space)))
    if all(wide.shape[a] >= n for a, n in zip(axes, window, strict=True)):
        view = np.lib.stride_tricks.sliding_window_view(wide, window, axes)
        steps = strides or (1,) * len(window)
        view = view[(*[slice(None)] * len(lead), *[slice(None, None, s) for s in steps])]
        want = fold(view, axis=tuple(range(-len(window), 0)))
    else:
        want = np.zeros((*lead, *(0,) * len(space), 3))
    tolerance = {"f4": 1e-5, "f8": 1e-12}[dtype]
    compiled = ft.jit(lambda x: pool(x, window, strides, padding))(x)
    for result in (got, compiled):
        assert result.dtype == dtype
        np.testing.assert_allclose(result, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("pool", [p[0] for p in POOLS])
@pytest.mark.parametrize(
    ("space", "window", "strides"), [((5, 4), (3, 2), (2, 1)), ((7,), (2,), (4,))]
)
def test_pools_differentiate_to_second_order_under_every_transform(
    pool: Any, space: Any, window: Any, strides: Any
) -> None:
    x = RNG.normal(size=(2, *space, 2))
    f = lambda x: pool(x, window, strides, "SAME") ** 2
    for run in (f, ft.jit(f)):
        check_grads(run, (x,), order=2)
    gradient = ft.grad(lambda x: f(x).sum())
    rows = np.stack([x, -x])
    want = np.stack([gradient(r) for r in rows])
    np.testing.assert_allclose(ft.jit(ft.vmap(gradient))(rows), want, rtol=1e-12, atol=1e-12)


def test_mean_may_leave_padding_out() -> None:
    x = RNG.normal(size=(2, 5, 5, 3))
    got = nn.avg_pool(x, (3, 3), (2, 2), "SAME", count_include_pad=False)
    np.testing.assert_allclose(got[:, 0, 0], x[:, :2, :2].mean((1, 2)), rtol=1e-12)
    np.testing.assert_allclose(got[:, 1, 1], x[:, 1:4, 1:4].mean((1, 2)), rtol=1e-12)
    np.testing.assert_allclose(nn.avg_pool(np.ones((1, 2, 2, 1), "f4"), (2, 2)), 1)
    assert nn.avg_pool(np.ones((1, 2, 2, 1), "f4"), (2, 2)).dtype == np.float32


def test_integers_pool() -> None:
    x = np.arange(16).reshape(1, 4, 4, 1)
    assert nn.max_pool(x, (2, 2), (2, 2), "SAME").dtype == x.dtype
    assert nn.avg_pool(x, (2, 2), (2, 2)).ravel().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_pools_need_axes_of_space_and_channels() -> None:
    with pytest.raises(ShapeError, match=r"windows \(2, 2\).*got f64\[4,4\]"):
        nn.max_pool(np.ones((4, 4)), (2, 2))
    with pytest.raises(ShapeError, match="strides"):
        nn.max_pool(np.ones((1, 4, 4, 1)), (2, 2), (2,))


@pytest.mark.parametrize(
    ("options", "space"),
    [
        ({"kernel_size": 3}, (7,)),
        ({"kernel_size": (3, 2), "strides": (2, 1)}, (7, 6)),
        ({"kernel_size": (3, 3), "padding": "VALID", "kernel_dilation": 2}, (7, 6)),
        ({"kernel_size": (3, 3), "padding": [(1, 0), (0, 2)], "feature_group_count": 2}, (7, 6)),
        ({"kernel_size": (2, 2, 2), "bias_init": None}, (3, 4, 3)),
    ],
)
def test_convolutional_layers_say_their_shape(options: Any, space: Any) -> None:
    init, apply = nn.conv(6, **options)
    shape, params = init(ft.random.key(0), (-1, *space, 4))
    y = apply(params, RNG.normal(size=(5, *space, 4)))
    assert shape[0] == -1 and y.shape == (5, *shape[1:])
    assert params["w"].shape[-2:] == (4 // options.get("feature_group_count", 1), 6)
    assert ("b" in params) == ("bias_init" not in options)
    assert init(ft.random.key(0), (5, *space, 4))[0] == y.shape


def test_a_small_network_learns() -> None:
    network = nn.serial(
        nn.conv(4, (3, 3), dtype="f4"),
        nn.elementwise(nn.relu),
        nn.pooled(nn.max_pool, (2, 2)),
        nn.conv(8, (3, 3), dtype="f4"),
        nn.elementwise(nn.relu),
        nn.pooled(nn.avg_pool, (2, 2)),
        nn.flatten(),
        nn.dense(1, dtype="f4"),
    )
    shape, params = network.init(ft.random.key(0), (-1, 8, 8, 1))
    assert shape == (-1, 1)
    x = RNG.normal(size=(32, 8, 8, 1)).astype("f4")
    y = x[:, :4].sum((1, 2), keepdims=False) - x[:, 4:].sum((1, 2))

    def loss(params: Any) -> Any:
        return ((network.apply(params, x) - y / 8) ** 2).mean()

    @ft.jit
    def step(params: Any) -> Any:
        value, gradient = ft.value_and_grad(loss)(params)
        return value, ft.tree.map(lambda p, g: p - 0.05 * g, params, gradient)

    first, params = step(params)
    np.testing.assert_allclose(
        first, loss(network.init(ft.random.key(0), (-1, 8, 8, 1))[1]), rtol=1e-4
    )
    for _ in range(100):
        last, params = step(params)
    assert last < 0.2 * first
