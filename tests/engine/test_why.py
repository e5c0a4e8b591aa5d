"""Every difference between two keys is named, and nothing else."""

from __future__ import annotations

from dibflow.engine.why import Cause, Difference, chain_of_causes, explain
from dibflow.planning.phases import Phase
from dibflow.planning.plan import Plan, Step, StepKind

Pairs = tuple[tuple[str, str], ...]


def step(
    name: str,
    *after: Step,
    files: Pairs = (),
    variables: Pairs = (),
    parameters: Pairs = (),
    fingerprint: str = "",
) -> Step:
    return Step(
        number=1,
        kind=StepKind.HOOK,
        phase=Phase.INSTALL,
        name=name,
        after=tuple(one.key for one in after),
        files=files,
        variables=variables,
        parameters=parameters,
        fingerprint=fingerprint,
    )


def plan(*steps: Step) -> Plan:
    return Plan(name="x", arch="amd64", elements=(), types=(), tree="", steps=steps)


def test_each_named_input_is_compared() -> None:
    old = step(
        "10-a",
        files=(("a", "1"), ("b", "1"), ("c", "1")),
        variables=(("GONE", "x"), ("SAME", "x"), ("V", "x")),
        parameters=(("size", "1"),),
        fingerprint="f",
    )
    new = step(
        "10-a",
        files=(("a", "1"), ("b", "2"), ("d", "1")),
        variables=(("SAME", "x"), ("V", "y")),
        parameters=(("size", "2"),),
    )

    explanation = explain(new, plan=plan(new), earlier=[("then", plan(old))])

    assert explanation.earlier == "then"
    assert explanation.differences == (
        Difference(Cause.FILE, "b", "1", "2"),
        Difference(Cause.FILE, "c", "1", None),
        Difference(Cause.FILE, "d", None, "1"),
        Difference(Cause.VARIABLE, "GONE", "x", None),
        Difference(Cause.VARIABLE, "V", "x", "y"),
        Difference(Cause.PARAMETER, "size", "1", "2"),
        Difference(Cause.FINGERPRINT, "", "f", None),
    )
    assert explanation.own == explanation.differences


def test_the_chain_ends_at_the_first_step_that_changed() -> None:
    def steps(digest: str) -> tuple[Step, ...]:
        root = step("00-root")
        first = step("10-a", root, files=(("a", digest),))
        second = step("20-b", first)
        return root, first, second, step("30-c", second)

    old, new = plan(*steps("1")), plan(*steps("2"))

    found = chain_of_causes(new.steps[-1], plan=new, earlier=[("then", old)])

    assert [one.step.name for one in found] == ["30-c", "20-b", "10-a"]
    assert found[0].differences == (
        Difference(Cause.PREDECESSOR, "install.d/20-b", "install.d/20-b", "install.d/20-b"),
    )
    assert found[0].own == ()
    assert found[-1].own == (Difference(Cause.FILE, "a", "1", "2"),)


def test_a_step_in_between_is_a_reason() -> None:
    root = step("00-root")
    between = step("05-new", root)
    old, new = step("10-a", root), step("10-a", between)

    found = explain(new, plan=plan(root, between, new), earlier=[("then", plan(root, old))])

    assert found.differences == (
        Difference(Cause.PREDECESSOR, "install.d/05-new", "install.d/00-root", "install.d/05-new"),
    )


def test_the_latest_other_step_of_the_title_is_compared() -> None:
    new = step("10-a", files=(("a", "3"),))
    same, older, oldest = new, step("10-a", files=(("a", "2"),)), step("10-a")

    found = explain(
        new,
        plan=plan(new),
        earlier=[("same", plan(same)), ("older", plan(older)), ("oldest", plan(oldest))],
    )

    assert found.earlier == "older"
    assert found.differences == (Difference(Cause.FILE, "a", "2", "3"),)


def test_a_step_that_was_always_the_same_has_no_differences() -> None:
    one = step("10-a")

    assert explain(one, plan=plan(one), earlier=[("then", plan(one))]).earlier == "then"
    assert explain(one, plan=plan(one), earlier=[("then", plan(one))]).differences == ()


def test_a_step_without_a_past_is_new() -> None:
    one = step("10-a")

    assert explain(one, plan=plan(one), earlier=[("then", plan(step("20-b")))]).earlier is None
