"""An error of LLVM 22, found in what it makes: signs are read from the wrong register.

LLVM takes the signs of a vector of up to 256 bits with `movmsk`, which cannot name the upper half
of AVX-512's registers, and lets it name one there: the instruction then reads one of the lower
half. It does so where it makes vectors of code outside of loops that tests signs one by one. Whole
vectors of AVX-512 have an instruction of their own.
"""

from __future__ import annotations

import re

NARROW = 256
"""Bits of a vector whose signs `movmsk` takes."""
_SIGN_TESTS = re.compile(
    r"(%[^ ]+) = icmp s(?:lt|gt) <(\d+) x i(\d+)> [^,]+, (?:zeroinitializer|splat \(i\d+ -1\))"
)
_COMBINED = re.compile(
    r"(%[^ ]+) = (?:and|or|xor|select|shufflevector|freeze)[^%]* <\d+ x i1> ([^\n]+)"
)
_TAKEN_APART = re.compile(r"(?:extractelement|bitcast) <\d+ x i1> (%[^ ,]+)")
_NAME = re.compile(r'@("[^"]*"|[\w.$-]+)')
_FUNCTION = re.compile(rf"^(define [^@]*{_NAME.pattern}\(.*?^}}\n)", re.MULTILINE | re.DOTALL)
_MISENCODED = re.compile(r"v(?:movmskp[sd]|pmovmskb)\s+%[xy]mm(?:1[6-9]|2\d|3[01])\b")


def has_registers(features: str) -> bool:
    """Whether a processor with these features, as LLVM writes them, has registers that `movmsk`
    cannot name."""
    return "+avx512vl" in features.split(",")


def suspects(ir: str) -> str | None:
    """The part of an optimised module in which the error may be: functions that take apart what is
    known of signs, and what these name. None if there is no such function."""
    parts = _FUNCTION.split(ir)
    outside, texts = "".join(parts[::3]), dict(zip(parts[2::3], parts[1::3], strict=True))
    kept = [name for name, text in texts.items() if may_be(text)]
    if not kept:
        return None
    for name in kept:  # grows while it is read
        named = set(_NAME.findall(texts[name] + outside))
        kept += [other for other in texts if other in named and other not in kept]
    return outside + "".join(texts[name] for name in kept)


def may_be(function: str) -> bool:
    """Whether an optimised function takes apart what is known of signs, which may lead to it."""
    tests = _SIGN_TESTS.findall(function)
    signs = {name for name, lanes, bits in tests if int(lanes) * int(bits) <= NARROW}
    if signs:
        for name, operands in _COMBINED.findall(function):
            if not signs.isdisjoint(operands.replace(",", " ").split()):
                signs.add(name)
    return not signs.isdisjoint(_TAKEN_APART.findall(function))


def is_in(assembly: str) -> bool:
    """Whether an instruction names a register that it cannot."""
    return _MISENCODED.search(assembly) is not None
