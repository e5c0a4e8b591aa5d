"""The phases: their order, their folders, their side."""

from __future__ import annotations

from dibflow.planning.phases import Phase


def test_phases_iterate_in_the_order_they_run() -> None:
    assert [phase.directory for phase in Phase] == [
        "root.d",
        "extra-data.d",
        "pre-install.d",
        "install.d",
        "post-install.d",
        "post-root.d",
        "block-device.d",
        "pre-finalise.d",
        "finalise.d",
        "cleanup.d",
    ]


def test_four_phases_run_inside_the_image() -> None:
    inside = [phase for phase in Phase if phase.inside]

    assert inside == [Phase.PRE_INSTALL, Phase.INSTALL, Phase.POST_INSTALL, Phase.FINALISE]


def test_phases_compare_by_when_they_run() -> None:
    shuffled = sorted(Phase, key=lambda phase: phase.directory)

    assert sorted(shuffled) == list(Phase)
    assert Phase.ROOT < Phase.EXTRA_DATA <= Phase.EXTRA_DATA
    assert Phase.CLEANUP > Phase.FINALISE
