"""Every method of the Builder does what NumPy's function of that name does, for every dtype."""

import numpy as np
import pytest

from functrans.compiler.llvm import Builder
from functrans.compiler.values import BOOL, SUPPORTED, Complex, Value

KINDS = {
    kind: sorted((d for d in SUPPORTED if d.kind in kind), key=str)
    for kind in ("f", "iu", "c", "fc", "iuf", "iufc", "biu", "biufc")
}
INT64, FLOAT64 = np.dtype(np.int64), np.dtype(np.float64)


def samples(dtype, seed=0, edges=True):
    """Random values of a dtype and the awkward ones."""
    rng = np.random.default_rng(seed)
    if dtype == BOOL:
        return rng.integers(0, 2, 200).astype(bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        some = rng.integers(-100 if info.min else 0, 100, 150).astype(dtype)
        special = np.array([0, 1, 2, info.max, info.min, info.max - 1, info.min + 1], dtype)
    elif dtype.kind == "f":
        some = (rng.normal(size=150) * 10).astype(dtype)
        special = np.array([0, -0.0, 1, -1, 0.5, 2.5, -2.5, np.inf, -np.inf, np.nan], dtype)
    else:
        part = np.dtype(f"f{dtype.itemsize // 2}")
        re, im = samples(part, seed, edges), samples(part, seed + 7, edges)
        values = np.empty(re.shape, dtype)
        values.real, values.imag = re, im
        return values
    return np.concatenate([some, rng.choice(special, 50)]) if edges else some


UNARY = [
    ("neg", np.negative, "iufc"),
    ("abs", np.abs, "biufc"),
    ("sign", np.sign, "iufc"),
    ("sqrt", np.sqrt, "fc"),
    ("floor", np.floor, "f"),
    ("ceil", np.ceil, "f"),
    ("rint", np.rint, "fc"),
    ("trunc", np.trunc, "f"),
    ("isnan", np.isnan, "fc"),
    ("isinf", np.isinf, "fc"),
    ("isfinite", np.isfinite, "fc"),
    ("signbit", np.signbit, "f"),
    ("not_", np.invert, "biu"),
    ("real", np.real, "c"),
    ("imag", np.imag, "c"),
    ("conj", np.conj, "c"),
]
BINARY = [
    ("add", np.add, "biufc"),
    ("sub", np.subtract, "iufc"),
    ("mul", np.multiply, "biufc"),
    ("div", np.divide, "fc"),
    ("floor_divide", np.floor_divide, "iuf"),
    ("remainder", np.remainder, "iuf"),
    ("fmod", np.fmod, "iuf"),
    ("minimum", np.minimum, "biufc"),
    ("maximum", np.maximum, "biufc"),
    ("copysign", np.copysign, "f"),
    ("eq", np.equal, "biufc"),
    ("ne", np.not_equal, "biufc"),
    ("lt", np.less, "biufc"),
    ("le", np.less_equal, "biufc"),
    ("gt", np.greater, "biufc"),
    ("ge", np.greater_equal, "biufc"),
    ("and_", np.bitwise_and, "biu"),
    ("or_", np.bitwise_or, "biu"),
    ("xor", np.bitwise_xor, "biu"),
    ("shl", np.left_shift, "iu"),
    ("shr", np.right_shift, "iu"),
]


def cases(table):
    return [
        pytest.param(name, reference, dtype, id=f"{name}-{dtype}")
        for name, reference, kinds in table
        for dtype in sorted((d for d in SUPPORTED if d.kind in kinds), key=str)
    ]


def check(got, expected, dtype):
    """Equal bits for exact results, a few ulp for complex ones."""
    if dtype.kind == "c":
        part = np.finfo(dtype).eps
        np.testing.assert_allclose(got, expected, rtol=4 * part, atol=part * 8)
    else:
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name, reference, dtype", cases(UNARY))
def test_unary_methods_agree_with_numpy(native, name, reference, dtype):
    x = samples(dtype)
    with np.errstate(all="ignore"):
        expected = reference(x)
    check(native(getattr(Builder, name), [dtype], expected.dtype)(x), expected, dtype)


@pytest.mark.parametrize("name, reference, dtype", cases(BINARY))
def test_binary_methods_agree_with_numpy(native, name, reference, dtype):
    finite = dtype.kind == "c" and name in ("mul", "div")  # of infinities NumPy's nan are its own
    x, y = samples(dtype, 1, not finite), samples(dtype, 2, not finite)
    if name in ("shl", "shr"):
        y = np.random.default_rng(3).integers(0, 70, x.size).astype(dtype)
    with np.errstate(all="ignore"):
        expected = reference(x, y)
    result = native(getattr(Builder, name), [dtype, dtype], expected.dtype)(x, y)
    check(result, expected, dtype)


@pytest.mark.parametrize("source", sorted(SUPPORTED, key=str), ids=str)
@pytest.mark.parametrize("target", sorted(SUPPORTED, key=str), ids=str)
def test_convert_is_astype(native, source, target):
    x = samples(source)
    if source.kind in "fc" and target.kind in "iu":
        x = x[np.isfinite(x) & (abs(x) < 100)]
        x = abs(x) if target.kind == "u" and source.kind == "f" else x
    plain = x.real if source.kind == "c" and target.kind not in "bc" else x
    if source.kind == "c" and target.kind == "u":
        x, plain = abs(plain).astype(source), abs(plain)
    with np.errstate(all="ignore"):
        expected = plain.astype(target)
    result = native(lambda b, v: b.convert(v, target), [source], target)(x)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("target", KINDS["iu"], ids=str)
def test_floats_out_of_range_become_some_integer(native, target):
    x = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300])
    run = native(lambda b, v: b.convert(v, target), [FLOAT64], target)
    np.testing.assert_array_equal(run(x), run(x))


@pytest.mark.parametrize("dtype", sorted(SUPPORTED, key=str), ids=str)
def test_constants_are_exact(native, dtype):
    for value in samples(dtype)[-60:]:
        result = native(lambda b, x: b.const(value, dtype), [INT64], dtype)(np.zeros(1, np.int64))
        np.testing.assert_array_equal(result, [value])
        if dtype.kind in "fc":
            break


@pytest.mark.parametrize("dtype", sorted(SUPPORTED, key=str), ids=str)
def test_select_takes_one_or_the_other(native, dtype):
    c, x, y = samples(BOOL), samples(dtype, 1), samples(dtype, 2)
    result = native(Builder.select, [BOOL, dtype, dtype], dtype)(c, x, y)
    np.testing.assert_array_equal(result, np.where(c, x, y))


def test_bitcast_keeps_the_bits(native):
    for source, target in (("f4", "i4"), ("f8", "u8"), ("i4", "f4"), ("u8", "i8"), ("?", "u1")):
        x = samples(np.dtype(source))
        result = native(lambda b, v: b.bitcast(v, target), [np.dtype(source)], np.dtype(target))(x)
        assert result.tobytes() == x.tobytes()


def test_complex_is_made_of_its_parts(native):
    x, y = samples(FLOAT64, 1), samples(FLOAT64, 2)
    z = native(Builder.complex, [FLOAT64, FLOAT64], np.dtype("c16"))(x, y)
    np.testing.assert_array_equal(z.real, x)
    np.testing.assert_array_equal(z.imag, y)


def test_a_number_times_its_conjugate_is_real(native):
    z = samples(np.dtype("c16"), edges=False)
    product = native(lambda b, x: b.mul(x, b.conj(x)), [z.dtype], z.dtype)(z)
    assert (product.imag == 0).all()


def test_fma_rounds_once(native):
    x = np.array([1 + 2.0**-30])
    result = native(lambda b, v: b.fma(v, v, b.neg(b.mul(v, v, exact=True))), [FLOAT64], FLOAT64)(x)
    assert result[0] == 2.0**-60


def test_tables_are_read_by_index(native):
    values = np.random.default_rng(0).normal(size=16)

    def emit(b, i):
        return b.load(b.table(values, FLOAT64), i.text, FLOAT64)

    i = np.arange(16)
    np.testing.assert_array_equal(native(emit, [INT64], FLOAT64)(i), values)


def test_branches_and_phi_choose(native):
    def emit(b, x):
        then, other, end = (b.fresh_label(n) for n in ("then", "else", "end"))
        b.cond_br(b.gt(x, b.const(0, x.dtype)), then, other)
        b.label(then)
        twice = b.add(x, x)
        b.br(end)
        b.label(other)
        minus = b.neg(x)
        b.br(end)
        b.label(end)
        return b.phi(x.dtype, [(twice, then), (minus, other)])

    x = np.random.default_rng(0).normal(size=50)
    np.testing.assert_array_equal(native(emit, [FLOAT64], FLOAT64)(x), np.where(x > 0, 2 * x, -x))


def test_loops_nest(native):
    def emit(b, n):
        cell = b.fresh("cell")
        b.raw(f"{cell} = alloca i64")
        b.store(b.const(0, INT64), cell, None)
        with b.loop("0", n.text) as i, b.loop("0", i.text) as j:
            b.store(b.add(b.load(cell, None, INT64), j), cell, None)
        return b.load(cell, None, INT64)

    n = np.arange(8)
    expected = [sum(j for i in range(k) for j in range(i)) for k in n]
    np.testing.assert_array_equal(native(emit, [INT64], INT64)(n), expected)


def test_a_reassociated_sum_is_vectorised():
    b = Builder()
    x = Value("%x", FLOAT64)
    b.add(x, x, reassoc=True)
    b.add(x, x)
    b.add(x, x, exact=True)
    assert [line.split(" = ")[1] for line in b.lines] == [
        "fadd reassoc contract double %x, %x",
        "fadd contract double %x, %x",
        "fadd double %x, %x",
    ]


def test_complex_values_have_no_text():
    value = Builder().const(1 + 2j, np.complex128)
    assert isinstance(value, Complex)
    assert value.im.text == "0x4000000000000000"
