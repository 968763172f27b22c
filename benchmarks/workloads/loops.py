"""Loops: solvers, recurrences, filters, sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.libraries import Library
from benchmarks.workloads.workload import ALONE, JAX, Made, Workload, gradient


def lorenz(lib: Library, steps: int = 10_000, h: float = 1e-4, **options: Any) -> Made:
    """The end of RK4 steps of the Lorenz system, summed, as a function of its parameters."""
    xp = lib.numpy

    def f(p: Any) -> Any:
        def slope(s: Any) -> Any:
            x, y, z = s
            return p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z

        def along(s: Any, k: Any, h: float) -> Any:
            return tuple(a + h * b for a, b in zip(s, k, strict=True))

        def step(s: Any, _: Any) -> Any:
            k1 = slope(s)
            k2 = slope(along(s, k1, h / 2))
            k3 = slope(along(s, k2, h / 2))
            k4 = slope(along(s, k3, h))
            ks = zip(s, k1, k2, k3, k4, strict=True)
            return tuple(v + h / 6 * (a + 2 * b + 2 * c + d) for v, a, b, c, d in ks), None

        one = xp.ones(())
        s, _ = lib.more.scan(step, (one, one, one), None, steps, **options)
        return s[0] + s[1] + s[2]

    return f, (np.array([10.0, 28.0, 8 / 3]),)


def lorenz_forward(lib: Library) -> Made:
    f, args = lorenz(lib)
    return lib.jit(f), args


def lorenz_jacobian(lib: Library) -> Made:
    f, args = lorenz(lib)
    return lib.jit(lib.more.jacobian(f)), args


def carries(n: int) -> Callable[[Library], Made]:
    """A scan of 614 steps over n coupled scalars."""

    def make(lib: Library) -> Made:
        xp = lib.numpy

        def f(p: Any, xs: Any) -> Any:
            def step(s: Any, x: Any) -> Any:
                new = tuple(0.9 * a + 0.1 * xp.tanh(p[i] * s[i - 1] + x) for i, a in enumerate(s))
                return new, new[0]

            s, ys = lib.more.scan(step, tuple(p[i] * 0.1 for i in range(n)), xs)
            return sum(s) + xp.sum(ys * ys)

        rng = np.random.default_rng(0)
        return f, (rng.normal(size=n), rng.normal(size=614))

    return make


def rnn(lib: Library, h: int = 32, t: int = 1000) -> Made:
    """A recurrent network over a long sequence."""
    xp = lib.numpy

    def f(params: Any, xs: Any) -> Any:
        w, u, b = params

        def step(s: Any, x: Any) -> Any:
            s = xp.tanh(w @ s + u @ x + b)
            return s, xp.sum(s * s)

        _, ys = lib.more.scan(step, xp.zeros(h), xs)
        return xp.mean(ys)

    rng = np.random.default_rng(0)
    params = (rng.normal(size=(h, h)) / h**0.5, rng.normal(size=(h, 8)) / 3, np.zeros(h))
    return f, (params, rng.normal(size=(t, 8)))


def lstm(lib: Library, layers: int = 2, n: int = 14, t: int = 1024) -> Made:
    """ADBench's LSTM: diagonal weights, two layers, a long text."""
    xp = lib.numpy

    def f(params: Any, xs: Any) -> Any:
        weights, biases, out = params

        def sigmoid(x: Any) -> Any:
            return 1 / (1 + xp.exp(-x))

        def step(carry: Any, x: Any) -> Any:
            new = []
            for i in range(layers):
                h, c = carry[i]
                w, b = weights[i], biases[i]
                forget = sigmoid(x * w[0] + b[0])
                ingate = sigmoid(h * w[1] + b[1])
                outgate = sigmoid(x * w[2] + b[2])
                change = xp.tanh(h * w[3] + b[3])
                c = c * forget + ingate * change
                x = outgate * xp.tanh(c)
                new.append((x, c))
            y = x * out[0] + out[1]
            return tuple(new), y - xp.log(2 + xp.sum(xp.exp(y)))

        zero = xp.zeros(n)
        _, ys = lib.more.scan(step, ((zero, zero),) * layers, xs[:-1])
        return -xp.mean(ys * xs[1:])

    rng = np.random.default_rng(0)
    params = tuple(
        rng.normal(size=(k, *s, n)) for k, s in ((layers, (4,)), (layers, (4,)), (2, ()))
    )
    return f, (params, np.eye(n)[rng.integers(0, n, t)])


def kalman(lib: Library, t: int = 1000) -> Made:
    """The log likelihood of a Kalman filter of 4 states and 2 observations in its noise levels."""
    xp = lib.numpy
    step = 0.1
    a = np.eye(4) + step * np.eye(4, k=2)
    c = np.eye(2, 4)

    def f(p: Any, ys: Any) -> Any:
        q, r = xp.exp(p[0]) * np.eye(4), xp.exp(p[1]) * np.eye(2)

        def update(state: Any, y: Any) -> Any:
            m, s = state
            m, s = a @ m, a @ s @ a.T + q
            e, v = y - c @ m, c @ s @ c.T + r
            det = v[0, 0] * v[1, 1] - v[0, 1] * v[1, 0]
            inverse = xp.stack([xp.stack([v[1, 1], -v[0, 1]]), xp.stack([-v[1, 0], v[0, 0]])]) / det
            gain = s @ c.T @ inverse
            value = -0.5 * (e @ inverse @ e + xp.log(det))
            return (m + gain @ e, s - gain @ c @ s), value

        _, values = lib.more.scan(update, (xp.zeros(4), xp.eye(4)), ys)
        return xp.sum(values)

    rng = np.random.default_rng(0)
    return f, (np.array([-2.0, -1.0]), np.cumsum(rng.normal(size=(t, 2)), 0))


def hmm(lib: Library, k: int = 16, t: int = 1000) -> Made:
    """The log likelihood of a hidden Markov model by the forward algorithm in log space."""
    xp = lib.numpy

    def f(p: Any, ys: Any) -> Any:
        moves, means = p
        moves = moves - xp.log(xp.sum(xp.exp(moves), axis=1, keepdims=True))

        def step(alpha: Any, y: Any) -> Any:
            z = alpha[:, None] + moves
            peak = xp.max(z, axis=0)
            total = peak + xp.log(xp.sum(xp.exp(z - peak), axis=0))
            return total - 0.5 * (y - means) ** 2, None

        alpha, _ = lib.more.scan(step, xp.zeros(k) - np.log(k), ys)
        peak = xp.max(alpha, axis=0)
        return peak + xp.log(xp.sum(xp.exp(alpha - peak)))

    rng = np.random.default_rng(0)
    return f, ((rng.normal(size=(k, k)), rng.normal(size=k)), rng.normal(size=t))


def newton(lib: Library) -> Made:
    """x + exp(x) = c for 10⁴ values of c, each to convergence."""
    xp = lib.numpy

    def solve(c: Any) -> Any:
        def go_on(x: Any) -> Any:
            return xp.abs(x + xp.exp(x) - c) > 1e-10 * (1 + xp.abs(c))

        def step(x: Any) -> Any:
            e = xp.exp(x)
            return x - (x + e - c) / (1 + e)

        return lib.more.while_loop(go_on, step, c * 0.0 + 1.0)

    c = np.random.default_rng(0).exponential(size=10_000) ** 3
    return lib.jit(lib.more.vmap(solve)), (c,)


def while_gradient(lib: Library) -> Made:
    """10⁴ steps of a damped pendulum, as many as a condition lets run."""
    xp = lib.numpy

    def f(p: Any) -> Any:
        def go_on(s: Any) -> Any:
            return s[0] < 10_000

        def step(s: Any) -> Any:
            n, x, v = s
            v = v - 1e-3 * (p[0] * xp.sin(x) + p[1] * v)
            return n + 1, x + 1e-3 * v, v

        _, x, v = lib.more.while_loop(go_on, step, (0, p[0] * 0 + 1.0, p[0] * 0))
        return x * x + v * v

    return f, (np.array([2.0, 0.1]),)


def while_of_layers(lib: Library, steps: int = 300) -> Made:
    """A layer of 32 × 128 applied as often as a condition says."""
    xp = lib.numpy

    def f(w: Any, b: Any) -> Any:
        def step(s: Any) -> Any:
            return s[0] + 1, xp.tanh(s[1] @ w + b)

        _, h = lib.more.while_loop(lambda s: s[0] < steps, step, (0, xp.zeros_like(b)))
        return xp.sum(h * h)

    rng = np.random.default_rng(0)
    return f, (rng.normal(size=(128, 128)) / 12, rng.normal(size=(32, 128)))


def driven(lib: Library, steps: int = 10_000) -> Made:
    """A damped oscillator that a series of forces drives, read by its index."""
    xp = lib.numpy

    def f(force: Any) -> Any:
        def step(i: Any, s: Any) -> Any:
            x, v = s
            v = v + 1e-2 * (force[i] - xp.sin(x) - 0.1 * v)
            return x + 1e-2 * v, v

        x, v = lib.more.fori_loop(0, steps, step, (xp.zeros(()), xp.zeros(())))
        return x * x + v * v

    return f, (np.random.default_rng(0).normal(size=steps),)


def filled(lib: Library, n: int = 2000) -> Made:
    """A recurrence that fills an array, an element from the one before."""
    xp = lib.numpy

    def f(w: Any) -> Any:
        step = lambda i, a: a.at[i + 1].set(xp.sin(a[i]) + 0.5 * w[i])
        return xp.sum(lib.more.fori_loop(0, n - 1, step, 0.1 * w) ** 2)

    return f, (np.random.default_rng(0).normal(size=n),)


def metropolis(lib: Library, steps: int = 5000) -> Made:
    """Random-walk Metropolis on a banana-shaped density, 10 chains."""
    xp, random = lib.numpy, lib.more.random

    def density(x: Any) -> Any:
        return -0.5 * (x[0] ** 2 + (x[1] - x[0] ** 2) ** 2 * 4)

    def chain(key: Any) -> Any:
        def step(carry: Any, key: Any) -> Any:
            x, value = carry
            k1, k2 = random.split(key)
            new = x + 0.5 * random.normal(k1, (2,))
            other = density(new)
            accept = xp.log(random.uniform(k2)) < other - value
            x, value = xp.where(accept, new, x), xp.where(accept, other, value)
            return (x, value), x

        zero = xp.zeros(2)
        _, xs = lib.more.scan(step, (zero, density(zero)), random.split(key, steps))
        return xp.mean(xs, axis=0)

    keys = np.arange(20, dtype=np.uint32).reshape(10, 2)
    return lib.jit(lib.more.vmap(chain)), (keys,)


def n_body_steps(lib: Library, bodies: int = 64, steps: int = 100) -> Made:
    """Leapfrog steps of attracting bodies; forces are the gradient of the potential energy."""
    xp = lib.numpy

    def simulate(x: Any, v: Any, m: Any) -> Any:
        def energy(x: Any) -> Any:
            d = x[:, None, :] - x[None, :, :]
            r = xp.sqrt(xp.sum(d * d, axis=-1) + 0.01)
            return -0.5 * xp.sum(m[:, None] * m[None, :] / r)

        def step(carry: Any, _: Any) -> Any:
            x, v = carry
            v = v - 1e-3 * lib.grad(energy)(x) / m[:, None]
            return (x + 1e-3 * v, v), None

        return lib.more.scan(step, (x, v), None, steps)[0]

    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(2, bodies, 3))
    return lib.jit(simulate), (x, v, rng.uniform(1, 2, size=bodies))


WORKLOADS = [
    Workload("Lorenz RK4, 10⁴ steps", lorenz_forward),
    gradient("Lorenz RK4, 10⁴ steps, gradient", lorenz),
    Workload("Lorenz RK4, 10⁴ steps, Jacobian", lorenz_jacobian),
    gradient("scan of 614 steps, 16 scalars, gradient", carries(16)),
    gradient("scan of 614 steps, 60 scalars, gradient", carries(60)),
    gradient("RNN, h 32, T 1000, gradient", rnn),
    gradient("ADBench LSTM, 2 × 14, T 1024, gradient", lstm),
    gradient("Kalman filter, 4 states, T 1000, gradient", kalman),
    gradient("HMM, 16 states, T 1000, gradient", hmm),
    Workload("n-body, 100 steps of 64 bodies", n_body_steps),
    Workload("Newton in while_loop, 10⁴ points", newton),
    gradient("while_loop of 10⁴ steps, gradient", while_gradient, ALONE),
    gradient("while_loop of 300 layers 32 × 128, gradient", while_of_layers, ALONE, (0, 1)),
    gradient("driven oscillator, 10⁴ steps, gradient", driven),
    gradient("recurrence that fills an array of 2,000, gradient", filled),
    Workload("Metropolis, 10 chains of 5,000 steps", metropolis, JAX),
]
