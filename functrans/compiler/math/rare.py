"""A slow path for a few elements that does not stop the loop from being vectorised.

A branch inside a loop's body keeps LLVM from vectorising it. A call does not, if the function
names vector variants of itself (the attribute "vector-function-abi-variant"): here a variant tests
whether any lane is special at all, and only then calls the C library lane by lane.

Measured for float64: 0.25 ns where none is special, 0.08 if the variants are inlined after
vectorisation (LLVM's always-inline pass); a branch-free reduction with three gathers from a table
of 2/pi costs 0.8.
"""

from __future__ import annotations

from functrans.compiler.math.expression import Expr, where

LANES = {"float32": (4, 8, 16), "float64": (2, 4, 8)}


def otherwise_call(fast: Expr, key: Expr, limit: float, function: str, *arguments: Expr) -> Expr:
    """fast, but function(*arguments), of the C library and of doubles, where |key| > limit."""
    b, kind = fast.b, fast.v.type
    bound = b.const(limit, fast.dtype)
    name = f"ft.rare.{function}.{kind}.{bound.text}"
    if not any(f"@{name}(" in line for line in b.declarations):
        for line in _definitions(name, kind, fast.kind, bound.text, function, len(arguments)):
            b.declare(line)
    given = ", ".join(f"{kind} {a.v.text}" for a in (key, *arguments))
    slow = Expr(b, b.op(f"call {kind} @{name}({given})", fast.dtype))
    return where(abs(key) > limit, slow, fast)


def _definitions(
    name: str, kind: str, dtype: str, bound: str, function: str, count: int
) -> list[str]:
    short = {"float": "f32", "double": "f64"}[kind]
    lanes = LANES[dtype]
    lines = [
        f"declare double @{function}({', '.join(['double'] * count)})",
        f"declare {kind} @llvm.fabs.{short}({kind})",
    ]
    for n in lanes:
        lines += [
            f"declare <{n} x {kind}> @llvm.fabs.v{n}{short}(<{n} x {kind}>)",
            f"declare i1 @llvm.vector.reduce.or.v{n}i1(<{n} x i1>)",
        ]
    return [
        *lines,
        _slow(name, kind, function, count),
        _scalar(name, kind, short, bound, count, lanes),
        *(_variant(name, kind, short, bound, count, n) for n in lanes),
    ]


def _slow(name: str, kind: str, function: str, count: int) -> str:
    """Call the C library for n elements; out follows the arguments, each `stride` apart."""
    loads, given = [], []
    for k in range(count):
        loads += [
            f"  %o{k} = mul i64 %n, {k}",
            f"  %j{k} = add i64 %i, %o{k}",
            f"  %p{k} = getelementptr {kind}, ptr %x, i64 %j{k}",
            f"  %a{k} = load {kind}, ptr %p{k}",
        ]
        if kind == "float":
            loads.append(f"  %d{k} = fpext float %a{k} to double")
        given.append(f"double %{'d' if kind == 'float' else 'a'}{k}")
    result = "%y"
    after = []
    if kind == "float":
        after, result = ["  %z = fptrunc double %y to float"], "%z"
    return "\n".join(
        [
            f"define weak_odr hidden void @{name}.slow(ptr %x, ptr %out, i64 %n) "
            "noinline cold nounwind willreturn {",
            "entry:",
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]",
            *loads,
            f"  %y = call double @{function}({', '.join(given)})",
            *after,
            f"  %q = getelementptr {kind}, ptr %out, i64 %i",
            f"  store {kind} {result}, ptr %q",
            "  %next = add i64 %i, 1",
            "  %more = icmp ult i64 %next, %n",
            "  br i1 %more, label %loop, label %done",
            "done:",
            "  ret void",
            "}",
        ]
    )


PURE = "nounwind willreturn memory(none)"


def _scalar(
    name: str, kind: str, short: str, bound: str, count: int, lanes: tuple[int, ...]
) -> str:
    names = ",".join(f"_ZGV_LLVM_N{n}{'v' * (count + 1)}_{name}({name}.v{n})" for n in lanes)
    head = f'{PURE} noinline "vector-function-abi-variant"="{names}"'
    body = _body(name, kind, f"llvm.fabs.{short}", bound, count, 1)
    return _function("internal", name, kind, count, head, body)


def _variant(name: str, kind: str, short: str, bound: str, count: int, n: int) -> str:
    body = _body(name, f"<{n} x {kind}>", f"llvm.fabs.v{n}{short}", bound, count, n)
    # weak: an internal function that nothing calls yet would be deleted before vectorisation
    return _function(
        "weak_odr hidden", f"{name}.v{n}", f"<{n} x {kind}>", count, f"{PURE} alwaysinline", body
    )


def _function(
    linkage: str, name: str, kind: str, count: int, attributes: str, body: list[str]
) -> str:
    given = ", ".join([f"{kind} %key", *(f"{kind} %a{k}" for k in range(count))])
    return "\n".join([f"define {linkage} {kind} @{name}({given}) {attributes} {{", *body, "}"])


def _body(name: str, kind: str, fabs: str, bound: str, count: int, n: int) -> list[str]:
    slow_name = name
    scalar = kind.split()[-1].rstrip(">")
    limit = bound if n == 1 else f"splat ({scalar} {bound})"
    any_lane = (
        "  %any = and i1 %special, true"
        if n == 1
        else (f"  %any = call i1 @llvm.vector.reduce.or.v{n}i1(<{n} x i1> %special)")
    )
    stores = []
    for k in range(count):
        stores += [
            f"  %p{k} = getelementptr {scalar}, ptr %x, i64 {k * n}",
            f"  store {kind} %a{k}, ptr %p{k}, align {4 if scalar == 'float' else 8}",
        ]
    return [
        "entry:",
        f"  %x = alloca [{count * n} x {scalar}], align 64",
        f"  %y = alloca [{n} x {scalar}], align 64",
        f"  %size = call {kind} @{fabs}({kind} %key)",
        f"  %special = fcmp ogt {kind} %size, {limit}",
        any_lane,
        "  br i1 %any, label %slow, label %fast",
        "slow:",
        *stores,
        f"  call void @{slow_name}.slow(ptr %x, ptr %y, i64 {n})",
        f"  %result = load {kind}, ptr %y",
        f"  ret {kind} %result",
        "fast:",
        f"  ret {kind} {'0.0' if n == 1 else 'zeroinitializer'}",
    ]
