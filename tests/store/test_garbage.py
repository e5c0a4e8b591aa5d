"""What goes when room is needed, and what stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dibflow.store.garbage import Use, choose


def use(name: str, *needs: str, last_used: float = 0, pinned: bool = False) -> Use:
    return Use(name, frozenset(needs), last_used, pinned)


def test_what_nothing_needs_goes_and_nothing_else() -> None:
    found = choose([use("a", "l1")], {"l1": 10, "l2": 5})

    assert (found.uses, found.items) == ((), ("l2",))
    assert (found.freed_bytes, found.left_bytes) == (5, 10)


def test_the_least_recently_used_goes_first_until_the_rest_fits() -> None:
    uses = [
        use("new", "l1", last_used=2),
        use("old", "l2", last_used=1),
        use("mid", "l3", last_used=1.5),
    ]

    found = choose(uses, {"l1": 10, "l2": 10, "l3": 10}, max_size_bytes=20)

    assert (found.uses, found.items, found.left_bytes) == (("old",), ("l2",), 20)


def test_a_layer_stays_while_any_record_needs_it() -> None:
    uses = [use("old", "base", "l1", last_used=1), use("new", "base", last_used=2)]

    found = choose(uses, {"base": 10, "l1": 1}, max_size_bytes=10)

    assert (found.uses, found.items) == (("old",), ("l1",))


def test_of_one_build_the_last_steps_go_first() -> None:
    uses = [use("first", "l1"), use("third", "l1", "l2", "l3"), use("second", "l1", "l2")]

    found = choose(uses, {"l1": 1, "l2": 1, "l3": 1}, max_size_bytes=1)

    assert found.uses == ("third", "second")


def test_what_an_unfinished_build_needs_stays_whatever_the_maximum() -> None:
    uses = [use("pinned", "l1", pinned=True), use("other", "l1", "l2", last_used=9)]

    found = choose(uses, {"l1": 10, "l2": 10}, max_size_bytes=0)

    assert (found.uses, found.items, found.left_bytes) == (("other",), ("l2",), 10)


USES = st.lists(
    st.builds(
        Use,
        st.text("abc", min_size=1),
        st.frozensets(st.sampled_from(["l1", "l2", "l3", "gone"])),
        st.floats(0, 9),
        st.booleans(),
    ),
    unique_by=lambda one: one.name,
)


@given(USES, st.integers(0, 40))
def test_nothing_is_taken_that_a_record_which_stays_needs(uses: list[Use], maximum: int) -> None:
    sizes = {"l1": 10, "l2": 20, "l3": 5}

    found = choose(uses, sizes, max_size_bytes=maximum)

    staying = [one for one in uses if one.name not in found.uses]
    assert not {item for one in staying for item in one.needs} & set(found.items)
    assert all(one.name not in found.uses for one in uses if one.pinned)
    assert found.left_bytes + found.freed_bytes == sum(sizes.values())
    assert found.left_bytes <= maximum or all(
        one.pinned or not one.needs & {*sizes} for one in staying
    )
