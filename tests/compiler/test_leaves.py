"""Leaves found natively are those of optree, and only of the very tree that was expected."""

import sys
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.leaves import flattener
from functrans.core import tree

Pair = namedtuple("Pair", "x y")
Other = namedtuple("Other", "x y")


class Text(str):
    pass


TREES = {
    "nothing": ((), {}),
    "leaf": ((1,), {}),
    "keywords": ((1.5,), {"b": 2, "a": 3}),
    "lists": (([1, [2, 3], []], 4), {}),
    "tuples": (((1, (2,)), ()), {}),
    "dicts": (({"b": {"c": 1, "a": 2}, "a": 3},), {"z": {}}),
    "none": ((None, [1, None]), {"k": None}),
    "named": ((Pair(1, Pair(2, [3])),), {"p": Pair(4, None)}),
}
UNKNOWN = {
    "numbers as keys": (({1: 2},), {}),
    "subclass of str": (({Text("a"): 2},), {}),
    "ordered": ((OrderedDict(a=1),), {}),
}
OTHERS = {  # expected, given
    "length": (([1, 2],), ([1, 2, 3],)),
    "list and tuple": (([1, 2],), ((1, 2),)),
    "names": ((Pair(1, 2),), (Other(1, 2),)),
    "named and plain": ((Pair(1, 2),), ((1, 2),)),
    "keys": (({"a": 1},), ({"b": 1},)),
    "more keys": (({"a": 1},), ({"a": 1, "b": 2},)),
    "no leaf": ((None,), (1,)),
    "arguments": ((1,), (1, 2)),
    "ordered": (({"a": 1},), (OrderedDict(a=1),)),
    "deep": (([(1, {"a": [2]})],), ([(1, {"a": [2, 3]})],)),
}


@pytest.mark.parametrize("name", TREES)
def test_leaves_are_those_of_optree(name):
    args, kwargs = TREES[name]
    leaves, structure = tree.flatten((args, kwargs))
    find = flattener(structure)
    assert find(args, kwargs) == leaves
    # the order in which a dict was filled does not matter
    assert find(args, dict(reversed(kwargs.items()))) == leaves


@pytest.mark.parametrize("name", UNKNOWN)
def test_other_nodes_are_left_to_optree(name):
    assert flattener(tree.structure(UNKNOWN[name]))(*UNKNOWN[name]) is None


@pytest.mark.parametrize("name", OTHERS)
def test_another_tree_is_none(name):
    expected, given = OTHERS[name]
    find = flattener(tree.structure((expected, {})))
    assert find(expected, {}) is not None
    assert find(given, {}) is None
    assert find(expected, {"k": 1}) is None


def test_references_are_counted():
    x = object()
    find = flattener(tree.structure((([x, x],), {})))
    before = sys.getrefcount(x)
    leaves = find(([x, x],), {})
    assert sys.getrefcount(x) == before + 2
    del leaves
    for _ in range(1000):
        assert find(([x, x, x],), {}) is None
    assert sys.getrefcount(x) == before


def test_types_and_keys_live_as_long_as_the_function():
    def make():
        key, node = "".join(["k", "ey"]), namedtuple("Node", "a")
        given = (node({key: 1}),)
        return flattener(tree.structure((given, {}))), given

    find, given = make()
    assert find(given, {}) == [1]


def test_a_jitted_function_changes_between_trees_and_types():
    f = ft.jit(lambda p, scale=1.0: tree.map(lambda x: x * scale, p))
    calls = [
        {"a": np.ones(2), "b": [np.zeros(3)]},
        {"b": [np.zeros(3)], "a": np.ones(2)},
        (np.ones(2), np.ones(3)),
        [np.ones(2), np.ones(3)],
        Pair(np.ones(2), None),
        {"a": np.ones(4), "b": [np.zeros(3)]},
        {"a": np.ones(4, np.float32), "b": [2]},
        {1: np.ones(2)},
    ]
    for p in [*calls, *reversed(calls), *calls]:
        for kwargs in ({}, {"scale": 3.0}):
            got, want = f(p, **kwargs), tree.map(lambda x, s=kwargs: x * s.get("scale", 1.0), p)
            assert tree.structure(got) == tree.structure(want)
            for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
                np.testing.assert_array_equal(g, w)
                assert np.asarray(g).dtype == np.asarray(w).dtype
    with pytest.raises(TypeError):
        f()
