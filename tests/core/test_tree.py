"""Pytrees: what is a node, what is a leaf, and errors that name the path of the leaf."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, namedtuple
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import numpy as fnp
from functrans import tree
from functrans.core.errors import TreeError

Pair = namedtuple("Pair", "first second")


class State(NamedTuple):
    step: Any
    moments: Any


@tree.register_dataclass
@dataclasses.dataclass
class Layer:
    w: Any
    b: Any


@dataclasses.dataclass(frozen=True)
class Model:
    layers: Any
    name: str
    depth: int = 2


tree.register_dataclass(Model, data_fields=["layers"], meta_fields=["name", "depth"])


class Interval:
    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = low, high


tree.register_node(Interval, lambda i: ((i.low, i.high), "unit"), lambda aux, xs: Interval(*xs))

TREES: list[tuple[Any, list[Any]]] = [
    (1, [1]),
    (None, []),
    ([], []),
    ((1, [2, (3,)]), [1, 2, 3]),
    ({"b": 1, "a": 2}, [2, 1]),
    (OrderedDict([("b", 1), ("a", 2)]), [1, 2]),
    (defaultdict(list, {"x": 1}), [1]),
    (Pair(1, None), [1]),
    (State(1, {"m": (2, None)}), [1, 2]),
    (Layer(1, (2, 3)), [1, 2, 3]),
    (Model([Layer(1, 2)], "net"), [1, 2]),
    ({"i": [Interval(1, 2)]}, [1, 2]),
    ("text", ["text"]),
]


@pytest.mark.parametrize(("value", "leaves"), TREES, ids=[str(i) for i in range(len(TREES))])
def test_flatten_and_unflatten(value: Any, leaves: list[Any]) -> None:
    got, treedef = tree.flatten(value)
    assert got == leaves == tree.leaves(value)
    again = tree.unflatten(treedef, got)
    assert type(again) is type(value) and tree.leaves(again) == leaves
    assert tree.structure(again) == treedef == tree.structure(value)
    assert hash(treedef) == hash(tree.structure(again))
    paths = [path for path, _ in tree.flatten_with_path(value)[0]]
    assert len(set(paths)) == len(leaves)


def test_arrays_are_leaves() -> None:
    assert len(tree.leaves({"x": np.ones((2, 2)), "y": np.float64(1)})) == 2


nested = st.recursive(
    st.integers(0, 9) | st.none(),
    lambda t: (
        st.lists(t, max_size=3)
        | st.tuples(t, t)
        | st.dictionaries(st.sampled_from("abc"), t, max_size=3)
        | st.builds(Layer, t, t)
        | st.builds(State, t, t)
    ),
    max_leaves=8,
)


@given(nested)
@settings(max_examples=80, derandomize=True, deadline=None)
def test_map_keeps_the_structure(value: Any) -> None:
    doubled = tree.map(lambda x: 2 * x, value)
    assert tree.structure(doubled) == tree.structure(value)
    assert tree.leaves(doubled) == [2 * x for x in tree.leaves(value)]
    assert tree.map(lambda x, y: y - x, value, doubled) == value
    assert tree.structure_difference(value, doubled) == ""


def test_map_with_is_leaf() -> None:
    assert tree.map(sum, [(1, 2), (3, 4)], is_leaf=lambda x: isinstance(x, tuple)) == [3, 7]
    assert tree.leaves([None, 1], is_leaf=lambda x: x is None) == [None, 1]


def is_pair(x: Any) -> bool:
    return isinstance(x, tuple)


def test_reduce_and_all() -> None:
    assert tree.reduce(lambda a, b: a + b, {"x": 1, "y": (2, 3)}) == 6
    assert tree.reduce(lambda a, b: a + b, [], initializer=10) == 10
    assert tree.reduce(lambda a, b: a + b, [(1, 2), (3,)], (), is_leaf=is_pair) == (1, 2, 3)
    assert tree.all([True, (1, "x")]) and not tree.all({"a": True, "b": [0]}) and tree.all(None)
    assert tree.all([(0, 0)], is_leaf=is_pair)
    assert tree.all_leaves([1, "x"]) and not tree.all_leaves([1, (2,)])
    assert tree.all_leaves([(2,)], is_pair)


# (tree, the paths of its leaves as Python and as JAX write them)
PATHS: list[tuple[Any, list[str]]] = [
    (1, [""]),
    (None, []),
    ((1, [2, (3,)]), ["[0]", "[1][0]", "[1][1][0]"]),
    ({"b": 1, "a": {2: 3}}, ["['a'][2]", "['b']"]),
    (OrderedDict([("b", 1), ("a", 2)]), ["['b']", "['a']"]),
    (State(1, {"m": (2, None)}), [".step", ".moments['m'][0]"]),
    (Model([Layer(1, 2)], "net"), [".layers[0].w", ".layers[0].b"]),
]


@pytest.mark.parametrize(("value", "names"), PATHS, ids=[str(i) for i in range(len(PATHS))])
def test_paths_lead_to_the_leaves(value: Any, names: list[str]) -> None:
    pairs, treedef = tree.flatten_with_path(value)
    assert treedef == tree.structure(value) and pairs == tree.leaves_with_path(value)
    assert [(tree.keystr(path), leaf) for path, leaf in pairs] == tree.named_leaves(value)
    assert [name for name, _ in tree.named_leaves(value)] == names
    for path, leaf in pairs:
        assert path(value) == leaf
    again = tree.map_with_path(lambda path, x, y: (tree.keystr(path), x, y), value, value)
    leaves = tree.leaves(value)
    assert tree.leaves(again) == [v for n, x in zip(names, leaves, strict=True) for v in (n, x, x)]


@pytest.mark.parametrize(
    ("prefix", "full", "want"),
    [
        ((1, 2, 3), (0, {"a": 0, "b": 0}, (0, 0)), (1, {"a": 2, "b": 2}, (3, 3))),
        (5, Layer(1, (2, 3)), Layer(5, (5, 5))),
        ({"x": Layer(1, 2)}, {"x": Layer([0, 0], None)}, {"x": Layer([1, 1], None)}),
    ],
)
def test_broadcast(prefix: Any, full: Any, want: Any) -> None:
    assert tree.broadcast(prefix, full) == want


def test_broadcast_of_what_is_no_prefix() -> None:
    with pytest.raises(TreeError, match="at the top: expected a tuple with keys"):
        tree.broadcast((1, 2), (0, 0, 0))


def test_transpose() -> None:
    outer, inner = tree.structure([0, 0, 0]), tree.structure({"x": 0, "y": 0})
    got = tree.transpose(outer, inner, [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 6}])
    assert got == {"x": [1, 3, 5], "y": [2, 4, 6]}
    states = tree.structure(State(0, 0))
    got = tree.transpose(states, tree.structure(Layer(0, 0)), State(Layer(1, 2), Layer(3, 4)))
    assert got == Layer(State(1, 3), State(2, 4))
    assert tree.transpose(states, None, State(Layer(1, 2), Layer(3, 4))) == got


@pytest.mark.parametrize(
    ("inner", "value"),
    [(None, [(1, 2), (3, 4, 5)]), ((0, 0), [1, 2]), (None, [1]), ((0,), [[1], [2]])],
)
def test_transpose_of_another_structure(inner: Any, value: Any) -> None:
    of = None if inner is None else tree.structure(inner)
    with pytest.raises(TreeError, match="transpose needs"):
        tree.transpose(tree.structure([0, 0]), of, value)


@pytest.mark.parametrize(
    ("expected", "got", "message"),
    [
        ((1, 2), (1, (2,)), "[1]: expected a leaf, got a tuple"),
        ({"a": [1, 2]}, {"a": [1]}, "['a']"),
        ({"a": 1}, {"b": 1}, "at the top: expected a dict with keys ['a'], got keys ['b']"),
        ({"w": {"x": (1, 2)}}, {"w": {"x": [1, 2]}}, "['w']['x']: expected a tuple, got a list"),
        (1, None, "at the top: expected a leaf, got None"),
        (State(1, 2), Pair(1, 2), "at the top: expected a State, got a Pair"),
        (Model([1], "a"), Model([1], "b"), "at the top"),
        (Layer(1, 2), Layer(1, [2]), "expected a leaf, got a list"),
    ],
)
def test_differences_name_the_path(expected: Any, got: Any, message: str) -> None:
    assert message in tree.structure_difference(expected, got)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"a": [1, 2]}, {"a": [1]}, "['a']"),
        ({"a": 1}, {"b": 1}, "with keys ['a'], got keys ['b']"),
        ({"w": {"x": (1, 2)}}, {"w": {"x": [1, 2]}}, "['w']['x']: expected a tuple, got a list"),
        ({"w": (1, 2)}, {"w": 1}, "['w']: expected a tuple, got a leaf"),
        (Model([1], "a"), Model([1], "b"), "at the top"),
    ],
)
def test_map_over_trees_that_differ(first: Any, second: Any, message: str) -> None:
    with pytest.raises(TreeError) as raised:
        tree.map(lambda x, y: x, first, second)
    assert message in str(raised.value)
    with pytest.raises(TreeError) as raised:
        tree.map_with_path(lambda path, x, y: x, first, second)
    assert message in str(raised.value)


def test_map_passes_subtrees_where_the_first_tree_has_leaves() -> None:
    assert tree.map(lambda x, y: (x, y), {"a": 1}, {"a": (2, 3)}) == {"a": (1, (2, 3))}


def test_errors_of_the_mapped_function_stay_themselves() -> None:
    def fails(x: Any, y: Any) -> Any:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        tree.map(fails, [1], [2])


def test_ravel() -> None:
    value = {"w": np.arange(6.0).reshape(2, 3), "b": np.float32(7), "n": None, "e": np.ones((0, 2))}
    vector, unravel = tree.ravel(value)
    np.testing.assert_array_equal(vector, [7, 0, 1, 2, 3, 4, 5])
    again = unravel(vector * 2)
    np.testing.assert_array_equal(again["w"], value["w"] * 2)
    assert again["b"].dtype == np.float32 and again["b"] == 14 and again["n"] is None
    assert again["e"].shape == (0, 2)
    empty, rebuild = tree.ravel({"a": []})
    assert empty.shape == (0,) and rebuild(empty) == {"a": []}


def test_ravel_under_transforms() -> None:
    def f(params: Any) -> Any:
        vector, unravel = tree.ravel(params)
        return fnp.sum(unravel(vector * vector)["x"])

    params = {"x": np.arange(3.0), "y": np.ones(2)}
    for gradient in (ft.grad(f), ft.jit(ft.grad(f))):
        got = gradient(params)
        np.testing.assert_allclose(got["x"], 2 * params["x"])
        np.testing.assert_allclose(got["y"], 0)


def test_registered_classes_pass_through_transforms() -> None:
    def loss(model: Model, x: Any) -> Any:
        for layer in model.layers:
            x = fnp.tanh(x @ layer.w + layer.b)
        return fnp.sum(x) * model.depth

    model = Model([Layer(np.eye(2), np.zeros(2)), Layer(np.ones((2, 2)), np.ones(2))], "net")
    x = np.array([0.1, 0.2])
    want = ft.grad(loss)(model, x)
    assert type(want) is Model and want.name == "net" and type(want.layers[0]) is Layer
    for got in (ft.jit(ft.grad(loss))(model, x), ft.grad(ft.jit(loss))(model, x)):
        for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
            np.testing.assert_allclose(g, w)


def test_metadata_is_static_under_jit() -> None:
    seen = []

    @ft.jit
    def f(model: Model) -> Any:
        seen.append(model.name)
        return model.layers[0] * model.depth

    assert f(Model([1.0], "a")) == 2.0 and f(Model([2.0], "a")) == 4.0
    assert f(Model([1.0], "b", 5)) == 5.0
    assert seen == ["a", "b"]


@tree.register_static
@dataclasses.dataclass(frozen=True)
class Name:
    text: str


@tree.register_dataclass
@dataclasses.dataclass
class Power:
    base: Any
    exponent: Any = tree.static(default=2)  # noqa: RUF009 - what is tested


def test_what_is_static_has_no_leaves() -> None:
    assert tree.leaves((Name("x"), Power(1.0, 3))) == [1.0]
    assert tree.structure(Name("x")) != tree.structure(Name("y"))
    power = ft.grad(ft.jit(lambda p: p.base**p.exponent))(Power(2.0, 3))
    assert power == Power(12.0, 3)


def test_a_partial_function_is_a_tree_of_what_is_bound() -> None:
    traces = []

    @ft.jit
    def call(f: Any, x: Any) -> Any:
        traces.append(1)
        return f(x)

    assert call(tree.Partial(fnp.multiply, 2.0), 3.0) == 6.0
    assert call(tree.Partial(fnp.multiply, 5.0), 3.0) == 15.0 and len(traces) == 1
    assert call(tree.Partial(fnp.add, 2.0), 3.0) == 5.0 and len(traces) == 2
    assert ft.grad(call)(tree.Partial(fnp.multiply, 2.0), 3.0).args == (3.0,)


def test_the_names_of_tree_util_are_those_of_jax() -> None:
    jax = pytest.importorskip("jax")
    assert set(ft.tree_util.__all__) <= set(dir(jax.tree_util))
    for name in ft.tree_util.__all__:
        assert callable(getattr(ft.tree_util, name))


def test_register_dataclass_of_something_else() -> None:
    with pytest.raises(TypeError, match="not a dataclass"):
        tree.register_dataclass(int)


def test_wrong_number_of_leaves() -> None:
    treedef = tree.structure((0, 0))
    with pytest.raises(ValueError):
        tree.unflatten(treedef, [1, 2, 3])
