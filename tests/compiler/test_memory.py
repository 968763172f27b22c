"""The memory plan: what lives at once never overlaps, and the dead make room."""

from hypothesis import given
from hypothesis import strategies as st

from functrans.compiler.memory import ALIGNMENT, Temporary, plan

BLOCK = st.tuples(st.integers(0, 500), st.integers(0, 30), st.integers(0, 10))
SPANS = st.lists(BLOCK, max_size=40)


def _rounded(block: Temporary) -> int:
    return -(-max(block.nbytes, 1) // ALIGNMENT) * ALIGNMENT


@given(SPANS)
def test_blocks_that_live_at_once_are_apart_and_inside_the_arena(spans: list) -> None:
    blocks = [Temporary(n, first, first + steps) for n, first, steps in spans]
    size = plan(blocks)
    for i, a in enumerate(blocks):
        assert a.offset % ALIGNMENT == 0
        assert 0 <= a.offset <= a.offset + a.nbytes <= size
        for b in blocks[:i]:
            together = a.first <= b.last and b.first <= a.last
            assert (
                not together
                or a.offset >= b.offset + _rounded(b)
                or (b.offset >= a.offset + _rounded(a))
            )


@given(SPANS)
def test_the_arena_is_at_most_all_blocks_side_by_side(spans: list) -> None:
    blocks = [Temporary(n, first, first + steps) for n, first, steps in spans]
    assert plan(blocks) <= sum(map(_rounded, blocks))


def test_a_chain_needs_two_blocks_and_residuals_leave_one_gap() -> None:
    assert plan([Temporary(64, i, i + 1) for i in range(1000)]) == 128
    steps = 1000
    residuals = [Temporary(64, i, 2 * steps - i) for i in range(steps)]
    cotangents = [Temporary(64, steps + i, steps + i + 1) for i in range(steps)]
    assert plan([*residuals, *cotangents]) <= 64 * (steps + 3)
