"""Mistakes in loops, branches and vmap: errors name line, leaf, types and the way out."""

from __future__ import annotations

from typing import Any

import numpy as np

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import (
    ConcretizationError,
    DTypeError,
    LeakedTracerError,
    ShapeError,
    TransformError,
    TreeError,
)
from tests.lax.mistakes import ALL, WITHOUT_VALUES, Mistake, Mistakes, check

mistake = Mistakes()


# --- loops ----------------------------------------------------------------------------------------


@mistake(ShapeError, r"^carry\['h'\] goes in as f64\[3\] and comes out as f64\[2,3\]", "keep its")
def scan_carry_changes_shape(x: Any) -> Any:
    return lax.scan(lambda c, _: ({"h": fnp.stack([c["h"], c["h"]])}, None), {"h": x}, length=2)


@mistake(
    DTypeError, r"^carry\[1\] goes in as f64\[3\] and comes out as f32\[3\]", r"astype\('float64'\)"
)
def scan_carry_changes_dtype(x: Any) -> Any:
    return lax.scan(lambda c, _: ((c[0], c[1].astype("f4")), None), (1.0, x), length=2)


@mistake(DTypeError, r"^carry\['h'\] goes in as f32\[2\] and comes out as f64\[2\]")
def scan_carry_is_promoted(x: Any) -> Any:
    start = {"h": np.ones(2, np.float32)}
    return lax.scan(lambda c, v: ({"h": c["h"] * v}, None), start, x)


@mistake(TreeError, r": carry\['h'\]: expected a leaf, got a tuple")
def scan_carry_changes_tree(x: Any) -> Any:
    return lax.scan(lambda c, _: ({"h": (c["h"], 1)}, None), {"h": x}, length=2)


@mistake(TreeError, r": carry: expected a dict with keys \['h', 'k'\], got keys \['h'\]")
def scan_carry_loses_a_key(x: Any) -> Any:
    return lax.scan(lambda c, _: ({"h": c["h"]}, None), {"h": x, "k": x}, length=2)


@mistake(TransformError, r"must return a pair \(carry, y\)", "got an array of type f64\\[3\\]")
def scan_body_returns_no_pair(x: Any) -> Any:
    return lax.scan(lambda c, _: c, x, length=2)


@mistake(TransformError, r"must return a pair \(carry, y\)", "None")
def scan_body_returns_nothing(x: Any) -> Any:
    return lax.scan(lambda c, _: None, x, length=2)


@mistake(TransformError, r"must return a pair \(carry, y\)", "a tuple of 3")
def scan_body_returns_three(x: Any) -> Any:
    return lax.scan(lambda c, _: (c, c, c), x, length=2)


@mistake(TypeError, r"takes 1 positional argument|positional argument")
def scan_body_takes_one(x: Any) -> Any:
    return lax.scan(lambda c: (c, None), x, length=2)


@mistake(ShapeError, r"xs\['a'\] is f64\[3\]", r"xs\['b'\] is f64\[2\]")
def scan_xs_differ(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), 0.0, {"a": x, "b": x[:2]})


@mistake(ShapeError, r"xs is f64\[3\]", "length is 5")
def scan_length_differs(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), 0.0, x, length=5)


@mistake(TransformError, "needs xs with an array in it, or length=")
def scan_without_length(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), x)


@mistake(TransformError, "length must be an int, got 2.5")
def scan_length_float(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), x, length=2.5)


@mistake(ConcretizationError, "lax.fori_loop", "static_argnums", where=WITHOUT_VALUES)
def scan_length_traced(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), x, length=x[0].astype(int))


@mistake(TransformError, "must not be negative, got -1")
def scan_length_negative(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), x, length=-1)


@mistake(ShapeError, r"xs\[1\] is f64\[\], which has no axis")
def scan_xs_scalar(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), x, (x, x[0]))


@mistake(DTypeError, r"scan's xs\['b'\]", "str")
def scan_xs_string(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), x, {"a": x, "b": "text"})


@mistake(DTypeError, r"scan's init\[1\]", "str")
def scan_init_string(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), (x, "text"), x)


@mistake(DTypeError, "result", "str")
def scan_returns_string(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, {"y": "text"}), x, x)


@mistake(TransformError, "scan takes a function, got (list|int|float|ndarray)")
def scan_not_callable(x: Any) -> Any:
    return lax.scan(3, x, x)


@mistake(TransformError, "scan's unroll", "'two'")
def scan_unroll_string(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), x, x, unroll="two")


@mistake(TransformError, "checkpoint is how many carries", "positive int", "-1")
def scan_checkpoint_negative(x: Any) -> Any:
    return lax.scan(lambda c, w: (c, None), x, x, checkpoint=-1)


@mistake(TransformError, "while_loop's checkpoint", "positive int", "2.0")
def while_checkpoint_float(x: Any) -> Any:
    return lax.while_loop(lambda c: c[0] < 1, lambda c: c + 1, x, checkpoint=2.0)


@mistake(TransformError, "fori_loop's checkpoint", "positive int", "True")
def fori_checkpoint_bool(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, c: c, x, checkpoint=True)


@mistake(ShapeError, r"scalar bool, got bool\[3\]", "fnp.all")
def while_condition_vector(x: Any) -> Any:
    return lax.while_loop(lambda c: c < 1, lambda c: c + 1, x)


@mistake(DTypeError, r"scalar bool, got f64\[\]", "comparison")
def while_condition_float(x: Any) -> Any:
    return lax.while_loop(lambda c: c[0], lambda c: c + 1, x)


@mistake(TransformError, r"one scalar bool, got \(bool\[\], bool\[\]\)", "& and")
def while_condition_tuple(x: Any) -> Any:
    return lax.while_loop(lambda c: (c[0] < 1, c[1] < 1), lambda c: c + 1, x)


@mistake(TransformError, "one scalar bool, got None")
def while_condition_nothing(x: Any) -> Any:
    return lax.while_loop(lambda c: None, lambda c: c + 1, x)


@mistake(ShapeError, r"^value\['h'\]\[1\] goes in as f64\[3\] and comes out as f64\[2\]")
def while_changes_shape(x: Any) -> Any:
    body = lambda c: {"h": (c["h"][0], c["h"][1][:2])}
    return lax.while_loop(lambda c: c["h"][0] < 1, body, {"h": (0.0, x)})


@mistake(DTypeError, r"^value goes in as f64\[3\] and comes out as i64\[3\]")
def while_changes_dtype(x: Any) -> Any:
    return lax.while_loop(lambda c: c[0] < 1, lambda c: c.astype(int), x)


@mistake(TreeError, ": value: expected a tuple, got a list")
def while_changes_tree(x: Any) -> Any:
    return lax.while_loop(lambda c: c[0] < 1, lambda c: [c[0], c[1]], (0, x))


@mistake(TreeError, ": value: expected a leaf, got None")
def while_body_returns_nothing(x: Any) -> Any:
    return lax.while_loop(lambda c: c[0] < 1, lambda c: None, x)


@mistake(TransformError, "while_loop takes a function, got bool")
def while_condition_not_callable(x: Any) -> Any:
    return lax.while_loop(True, lambda c: c, x)


@mistake(ShapeError, r"^value\['h'\] goes in as f64\[3\] and comes out as f64\[2\]")
def fori_changes_shape(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, c: {"h": c["h"][:2]}, {"h": x})


@mistake(DTypeError, r"^value\[0\] goes in as f64\[3\] and comes out as f32\[3\]")
def fori_changes_dtype(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, c: (c[0].astype("f4"),), (x,))


@mistake(TreeError, ": value: expected a leaf, got a tuple")
def fori_changes_tree(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, c: (c, c), x)


@mistake(ShapeError, r"^value\['h'\] goes in as f64\[3\] and comes out as f64\[2\]")
def fori_traced_changes_shape(x: Any) -> Any:
    return lax.fori_loop(0, fnp.sum(x).astype(int), lambda i, c: {"h": c["h"][:2]}, {"h": x})


@mistake(TreeError, ": value: expected a leaf, got a tuple")
def fori_traced_changes_tree(x: Any) -> Any:
    return lax.fori_loop(0, fnp.sum(x).astype(int), lambda i, c: (c, c), x)


@mistake(DTypeError, "fori_loop's upper must be an integer, got float: 3.0", "int")
def fori_bound_float(x: Any) -> Any:
    return lax.fori_loop(0, 3.0, lambda i, c: c, x)


@mistake(
    DTypeError, r"fori_loop's lower must be an integer, got an array of type f64\[\]", "astype"
)
def fori_bound_traced_float(x: Any) -> Any:
    return lax.fori_loop(x[0], 3, lambda i, c: c, x)


@mistake(ShapeError, r"fori_loop's upper must be a scalar, got an array of type i64\[3\]")
def fori_bound_vector(x: Any) -> Any:
    return lax.fori_loop(0, x.astype(int), lambda i, c: c, x)


@mistake(DTypeError, "fori_loop's upper must be an integer, got str")
def fori_bound_string(x: Any) -> Any:
    return lax.fori_loop(0, "3", lambda i, c: c, x)


@mistake(TransformError, "fori_loop takes a function, got ")
def fori_not_callable(x: Any) -> Any:
    return lax.fori_loop(0, 3, x, x)


@mistake(TypeError, "positional argument")
def fori_body_takes_one(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda c: c, x)


@mistake(
    ShapeError, r"map needs xs of one leading extent: xs\[0\] is f64\[3\]", r"xs\[1\] is f64\[2\]"
)
def map_sizes_differ(x: Any) -> Any:
    return lax.map(lambda v: v[0], (x, x[:2]))


@mistake(
    ShapeError, r"map needs xs of one leading extent: xs\[0\] is f64\[3\]", r"xs\[1\] is f64\[2\]"
)
def map_sizes_differ_in_batches(x: Any) -> Any:
    return lax.map(lambda v: v[0], (x, x[:2]), batch_size=2)


@mistake(ShapeError, r"map's xs is f64\[\], which has no axis")
def map_scalar(x: Any) -> Any:
    return lax.map(lambda v: v, x[0])


@mistake(TransformError, "map needs xs")
def map_nothing(x: Any) -> Any:
    return lax.map(lambda v: x, ())


@mistake(TransformError, "map's batch_size", "positive int", "0")
def map_batch_size_zero(x: Any) -> Any:
    return lax.map(lambda v: v, x, batch_size=0)


@mistake(TransformError, "map's batch_size", "positive int", "1.5")
def map_batch_size_float(x: Any) -> Any:
    return lax.map(lambda v: v, x, batch_size=1.5)


@mistake(TransformError, "map takes a function, got ")
def map_not_callable(x: Any) -> Any:
    return lax.map(x, x)


@mistake(ShapeError, r"associative_scan", r"elems\['a'\] is f64\[3\]", r"elems\['b'\] is f64\[2\]")
def associative_scan_sizes_differ(x: Any) -> Any:
    return lax.associative_scan(lambda a, b: a, {"a": x, "b": x[:2]})


@mistake(ShapeError, "axis 1", r"f64\[3\]")
def associative_scan_bad_axis(x: Any) -> Any:
    return lax.associative_scan(lambda a, b: a + b, x, axis=1)


@mistake(TreeError, "associative_scan", "expected a leaf, got a tuple")
def associative_scan_changes_tree(x: Any) -> Any:
    return lax.associative_scan(lambda a, b: (a, b), x)


@mistake(ShapeError, "associative_scan", r"f64\[1\]", r"f64\[\]")
def associative_scan_changes_shape(x: Any) -> Any:
    return lax.associative_scan(lambda a, b: fnp.sum(a + b), x)


@mistake(DTypeError, "associative_scan", r"f64\[1\]", r"f32\[1\]")
def associative_scan_changes_dtype(x: Any) -> Any:
    return lax.associative_scan(lambda a, b: (a + b).astype("f4"), x)


@mistake(TransformError, "associative_scan takes a function")
def associative_scan_not_callable(x: Any) -> Any:
    return lax.associative_scan(x, x)


# --- branches -------------------------------------------------------------------------------------


@mistake(ShapeError, r"result\['y'\]", r"false_fun gives f64\[3\]; true_fun gives f64\[\]")
def cond_shapes_differ(x: Any) -> Any:
    return lax.cond(True, lambda v: {"y": fnp.sum(v)}, lambda v: {"y": v}, x)


@mistake(DTypeError, r"false_fun gives f64\[3\]; true_fun gives f32\[3\]", "astype")
def cond_dtypes_differ(x: Any) -> Any:
    return lax.cond(True, lambda v: v.astype("f4"), lambda v: v, x)


@mistake(TreeError, r"\['y'\].*expected a leaf, got a tuple", "true_fun", "false_fun")
def cond_trees_differ(x: Any) -> Any:
    return lax.cond(True, lambda v: {"y": (v, v)}, lambda v: {"y": v}, x)


@mistake(TreeError, "true_fun", "None")
def cond_branch_returns_nothing(x: Any) -> Any:
    return lax.cond(True, lambda v: None, lambda v: v, x)


@mistake(ShapeError, r"predicate must be a scalar, got an array of type bool\[3\]", "fnp.where")
def cond_predicate_vector(x: Any) -> Any:
    return lax.cond(x > 0, lambda v: v, lambda v: v, x)


@mistake(DTypeError, "predicate must be a scalar bool, got str")
def cond_predicate_string(x: Any) -> Any:
    return lax.cond("yes", lambda v: v, lambda v: v, x)


@mistake(DTypeError, "predicate must be a scalar bool, got None")
def cond_predicate_none(x: Any) -> Any:
    return lax.cond(None, lambda v: v, lambda v: v, x)


@mistake(DTypeError, r"predicate must be a scalar bool, got a list of 1")
def cond_predicate_list(x: Any) -> Any:
    return lax.cond([True], lambda v: v, lambda v: v, x)


@mistake(TransformError, "cond takes a function, got ")
def cond_not_callable(x: Any) -> Any:
    return lax.cond(True, x, x)


@mistake(TypeError, "positional argument")
def cond_branch_takes_none(x: Any) -> Any:
    return lax.cond(True, lambda: 1.0, lambda v: v, x)


@mistake(DTypeError, r"cond's operand", "str")
def cond_operand_string(x: Any) -> Any:
    return lax.cond(True, lambda v: v, lambda v: v, {"a": "text"})


@mistake(DTypeError, r"index must be a scalar integer, got an array of type f64\[\]", "astype")
def switch_index_float(x: Any) -> Any:
    return lax.switch(x[0], [lambda v: v, lambda v: v], x)


@mistake(DTypeError, "index must be a scalar integer, got float: 1.0", "int")
def switch_index_python_float(x: Any) -> Any:
    return lax.switch(1.0, [lambda v: v, lambda v: v], x)


@mistake(ShapeError, r"index must be a scalar, got an array of type i64\[3\]")
def switch_index_vector(x: Any) -> Any:
    return lax.switch(x.astype(int), [lambda v: v, lambda v: v], x)


@mistake(DTypeError, "index must be a scalar integer, got str")
def switch_index_string(x: Any) -> Any:
    return lax.switch("1", [lambda v: v, lambda v: v], x)


@mistake(TransformError, "switch needs a sequence of one branch or more, got a list of 0")
def switch_without_branches(x: Any) -> Any:
    return lax.switch(0, [], x)


@mistake(TransformError, "switch needs a sequence of one branch or more, got function: <function")
def switch_branches_function(x: Any) -> Any:
    return lax.switch(0, lambda v: v, x)


@mistake(TransformError, "switch, as branch 1, takes a function, got int: 3")
def switch_branch_not_callable(x: Any) -> Any:
    return lax.switch(0, [lambda v: v, 3], x)


@mistake(DTypeError, r"result\[0\]", r"branch 0 gives f64\[3\]; branch 1 gives i64\[3\]; branch 2")
def switch_dtypes_differ(x: Any) -> Any:
    return lax.switch(0, [lambda v: (v,), lambda v: (v.astype(int),), lambda v: (v,)], x)


@mistake(TreeError, "branch 2 differs from branch 0")
def switch_trees_differ(x: Any) -> Any:
    return lax.switch(0, [lambda v: v, lambda v: v, lambda v: (v, v)], x)


@mistake(ShapeError, "select needs shapes that broadcast", r"bool\[2\], f64\[3\] and f64\[3\]")
def select_shapes(x: Any) -> Any:
    return lax.select(x[:2] > 0, x, x)


# --- what only Python can decide ------------------------------------------------------------------


@mistake(ConcretizationError, "lax.cond", where=WITHOUT_VALUES)
def python_if(x: Any) -> Any:
    if x[0] > 0:
        return x
    return -x


@mistake(ConcretizationError, "lax.while_loop", where=WITHOUT_VALUES)
def python_while(x: Any) -> Any:
    while x[0] < 0:
        x = x + 1
    return x


@mistake(ConcretizationError, "lax.cond")
def python_if_in_a_body(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, c: c if c[0] > 0 else -c, x)


@mistake(ConcretizationError, "lax.fori_loop", where=WITHOUT_VALUES)
def python_range(x: Any) -> Any:
    return [x for _ in range(x[0].astype(int))]


@mistake(ConcretizationError, "astype", where=WITHOUT_VALUES)
def python_int(x: Any) -> Any:
    return int(x[0])


@mistake(ConcretizationError, "astype|stop_gradient", where=ALL[1:])
def python_float(x: Any) -> Any:
    return float(x[0])


@mistake(ConcretizationError, "functrans.numpy", where=ALL[1:])
def numpy_asarray(x: Any) -> Any:
    return np.asarray(x)


@mistake(TypeError, "numpy.sin", "into an array", "use results instead of out=", where=ALL[1:])
def numpy_out(x: Any) -> Any:
    return np.sin(x, out=np.zeros(3))


@mistake(TypeError, "numpy.add", r"x = x \+ y instead of x \+= y", where=ALL[1:])
def numpy_in_place(x: Any) -> Any:
    y = np.zeros(3)
    y += x
    return y


@mistake(TypeError, r"x = x\.at\[index\]\.set\(value\)", where=ALL[1:])
def item_assignment(x: Any) -> Any:
    x[0] = 1.0
    return x


# --- leaks ----------------------------------------------------------------------------------------


@mistake(LeakedTracerError, "Return it from the function")
def leak_from_scan(x: Any) -> Any:
    kept: list[Any] = []
    lax.scan(lambda c, _: (kept.append(c * 2), (c, None))[1], x, length=2)
    return kept[0] + 1


@mistake(LeakedTracerError, "Return it from the function")
def leak_into_a_loop(x: Any) -> Any:
    kept: list[Any] = []
    lax.cond(True, lambda v: kept.append(v) or v, lambda v: v, x)
    return lax.fori_loop(0, 3, lambda i, c: c + kept[0], x)


@mistake(LeakedTracerError, "Return it from the function")
def leak_from_a_condition(x: Any) -> Any:
    kept: list[Any] = []
    lax.while_loop(lambda c: kept.append(c) or c[0] > 9.0, lambda c: c, x)
    return fnp.sum(kept[0])


@mistake(LeakedTracerError, "Return it from the function")
def leak_returned_by_a_later_body(x: Any) -> Any:
    kept: list[Any] = []
    lax.map(lambda v: kept.append(v) or v, x)
    return lax.scan(lambda c, _: (c, kept[0]), x, length=2)


# --- vmap and collectives -------------------------------------------------------------------------


@mistake(ShapeError, r"argument 0\['a'\] is f64\[3\], mapped over axis 0; argument 1 is f64\[2\]")
def vmap_sizes_differ(x: Any) -> Any:
    return ft.vmap(lambda p, q: q)({"a": x}, x[:2])


@mistake(TransformError, r"in_axes\[0\] is \{'b': 0\}", r"a dict with keys \['a'\]")
def vmap_in_axes_tree(x: Any) -> Any:
    return ft.vmap(lambda p: p["a"], in_axes=({"b": 0},))({"a": x})


@mistake(TransformError, "in_axes has 2 entries for 1 positional")
def vmap_in_axes_count(x: Any) -> Any:
    return ft.vmap(lambda p: p, in_axes=(0, 0))(x)


@mistake(TransformError, r"in_axes\[0\] is 1.5, but must be an int or None")
def vmap_in_axes_float(x: Any) -> Any:
    return ft.vmap(lambda p: p, in_axes=(1.5,))(x)


@mistake(ShapeError, r"axis 2 of argument 0.*f64\[3\]", "None in in_axes")
def vmap_bad_axis(x: Any) -> Any:
    return ft.vmap(lambda p: p, in_axes=2)(x)


@mistake(TransformError, "at least one mapped argument, or axis_size")
def vmap_nothing_mapped(x: Any) -> Any:
    return ft.vmap(lambda p: p, in_axes=None)(x)


@mistake(TransformError, r"out_axes is \{'b': 0\}", r"a dict with keys \['a'\]")
def vmap_out_axes_tree(x: Any) -> Any:
    return ft.vmap(lambda p: {"a": p}, out_axes={"b": 0})(x)


@mistake(TransformError, "out_axes is None", "differs between examples")
def vmap_out_axes_none(x: Any) -> Any:
    return ft.vmap(lambda p: p, out_axes=None)(x)


@mistake(ShapeError, "out_axes 3 is out of bounds for an output of 1 axes")
def vmap_out_axes_out_of_bounds(x: Any) -> Any:
    return ft.vmap(lambda p: p, out_axes=3)(x)


@mistake(TransformError, "no vmap with axis_name='j'", r"open names: \['i'\]", r"vmap\(")
def psum_unknown_axis(x: Any) -> Any:
    return ft.vmap(lambda p: lax.psum(p, "j"), axis_name="i")(x)


@mistake(TransformError, "no vmap with axis_name='j'", r"open names: \[\]")
def axis_index_unknown_axis(x: Any) -> Any:
    return lax.fori_loop(0, 2, lambda i, c: c + lax.axis_index("j"), x)


# --- the test -------------------------------------------------------------------------------------


@mistake.rows()
def test_mistakes(row: Mistake, context: str) -> None:
    check(row, context)
