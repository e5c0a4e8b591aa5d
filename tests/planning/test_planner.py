from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dibflow.blockdevice.config import FALLBACK, Defaults, read_config
from dibflow.errors import UsageError
from dibflow.planning.definition import ImageDefinition
from dibflow.planning.element import ElementPath
from dibflow.planning.expansion import expand
from dibflow.planning.hooks import merge_elements
from dibflow.planning.hostfiles import host_files
from dibflow.planning.phases import Phase
from dibflow.planning.plan import Names, Plan, Step, StepKind
from dibflow.planning.planner import Planner
from dibflow.planning.resolve import resolve
from dibflow.planning.treeinputs import TreeInputs
from dibflow.planning.variables import HostPaths, engine_variables

PATHS = HostPaths(
    build_folder="/run/dibflow/build",
    library="/lib",
    python="/usr/bin/python3",
    image_cache="/cache",
    lock_files="/locks",
    elements_path="/elements",
    tools="/tools",
)


def write_element(
    folder: Path, hooks: Mapping[str, str], *, deps: Sequence[str] = (), provides: str = ""
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "element-deps").write_text("\n".join(deps))
    (folder / "element-provides").write_text(provides)
    for name, text in hooks.items():
        hook = folder / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/bash\n{text}\n")
        hook.chmod(0o755)


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """Two elements: an operating system, and one with a hook for each of three phases."""
    write_element(
        tmp_path / "os", {"root.d/10-root": "mkdir $TARGET_ROOT/etc"}, provides="operating-system"
    )
    write_element(
        tmp_path / "app",
        {
            "extra-data.d/20-data": 'cp "$(dirname $0)/../static/motd" "$TMP_MOUNT_PATH"',
            "install.d/30-app": "echo ${APP_COLOUR:-blue}",
            "install.d/100-late": "true",
            "finalise.d/40-end": "true",
        },
        deps=["os"],
    )
    (tmp_path / "app" / "static").mkdir()
    (tmp_path / "app" / "static" / "motd").write_text("hello\n")
    return tmp_path


def plan_of(
    search: Path,
    *,
    user: Mapping[str, str] | None = None,
    fingerprints: Mapping[str, str] | None = None,
    requested: Sequence[str] = ("os", "app"),
    settled: Mapping[str, Sequence[Sequence[str]]] | None = None,
    types: tuple[str, ...] = ("qcow2", "tar"),
    config: str = FALLBACK,
    outputs: bool = True,
) -> Plan:
    environment = {"PATH": "/bin", **(user or {})}
    definition = resolve(
        ImageDefinition(elements=tuple(requested), types=types), environment, machine="x86_64"
    )
    if not outputs:
        definition = definition.without_outputs()
    elements = expand(requested, ElementPath([search]))
    tree = merge_elements(elements)
    layout = read_config(config, source=Path("layout.yaml"), defaults=Defaults())
    engine = engine_variables(definition, elements, environment, PATHS, layout=layout)
    return Planner(
        definition=definition,
        elements=elements,
        tree=tree,
        tree_digest="tree",
        inputs=TreeInputs(tree, elements, library=Path("/nowhere")).of,
        engine=engine,
        paths=PATHS,
        fingerprints=fingerprints or {},
        host_files=functools.partial(host_files, folder=search),
        layout=layout,
    ).plan(settled)


def changed(before: Plan, after: Plan) -> list[str]:
    """Name the steps of `after` whose definition key is new."""
    known = {step.key for step in before.steps}
    return [step.title for step in after.steps if step.key not in known]


def names_from(plan: Plan, title: str) -> list[str]:
    titles = [step.title for step in plan.steps]
    return titles[titles.index(title) :]


def test_a_plan_runs_the_phases_in_order_with_the_engines_acts_between(search: Path) -> None:
    plan = plan_of(search)

    assert [step.title for step in plan.steps] == [
        "root.d/environment",
        "root.d/10-root",
        "prepare-root",
        "extra-data.d/environment",
        "extra-data.d/20-data",
        "settle-hooks",
        "install.d/environment",
        "install.d/30-app",
        "install.d/100-late",
        "finish-root",
        "finalise.d/environment",
        "finalise.d/40-end",
        "clean-up",
        "disk",
        "qcow2",
        "tar",
    ]


def test_an_edited_hook_changes_its_own_key_and_those_after_it(search: Path) -> None:
    before = plan_of(search)

    (search / "app" / "install.d" / "30-app").write_text("#!/bin/bash\nfalse\n")
    after = plan_of(search)

    assert changed(before, after) == names_from(after, "install.d/30-app")


def test_a_data_file_counts_for_the_hook_that_names_it(search: Path) -> None:
    before = plan_of(search)

    (search / "app" / "static" / "motd").write_text("goodbye\n")
    after = plan_of(search)

    assert changed(before, after) == names_from(after, "extra-data.d/20-data")


def test_a_variable_counts_from_the_first_hook_that_names_it(search: Path) -> None:
    before = plan_of(search)

    after = plan_of(search, user={"APP_COLOUR": "red"})

    assert changed(before, after) == names_from(after, "install.d/30-app")


@pytest.mark.parametrize(
    "variable", ["UNNAMED", "HOME", "http_proxy", "TMP_MOUNT_PATH", "DIB_DEBUG_TRACE", "USER"]
)
def test_a_variable_that_is_not_named_or_the_hosts_own_changes_no_key(
    search: Path, variable: str
) -> None:
    before = plan_of(search)

    after = plan_of(search, user={variable: "1"})

    assert changed(before, after) == []


def test_what_environment_d_makes_of_a_caller_counts(search: Path) -> None:
    proxy = {"http_proxy": "http://proxy.example:3128"}
    before = plan_of(search), plan_of(search, user=proxy)
    (search / "os" / "environment.d").mkdir()
    mirror = search / "os" / "environment.d" / "10-mirror"

    assert changed(*before) == []
    for text in (
        "export MIRROR=$http_proxy/debian\n",
        "for v in ${!http_@}; do export MIRROR=${!v}/debian; done\n",
        "export MIRROR=$(env | grep -i _proxy= | head -n 1)\n",
    ):
        mirror.write_text(text)
        after = plan_of(search), plan_of(search, user=proxy)
        assert changed(*after)[0] == "root.d/environment", text
    mirror.unlink()
    assert changed(plan_of(search, user={"USER": "a"}), plan_of(search, user={"USER": "b"})) == []


def test_a_file_that_a_named_variable_names_counts_by_its_content(
    search: Path, tmp_path: Path
) -> None:
    colours = tmp_path / "colours.txt"
    colours.write_text("red\n")
    before = plan_of(search, user={"APP_COLOUR": str(colours)})

    colours.write_text("green\n")
    after = plan_of(search, user={"APP_COLOUR": str(colours)})

    assert changed(before, after) == names_from(after, "install.d/30-app")


def test_a_fingerprint_counts_for_the_hooks_of_its_element(search: Path) -> None:
    before = plan_of(search)

    after = plan_of(search, fingerprints={"app": "new"})

    assert changed(before, after) == names_from(after, "extra-data.d/20-data")


def test_what_the_engine_only_looks_at_is_in_no_later_key(search: Path) -> None:
    plan = plan_of(search)

    titles = {step.title: step for step in plan.steps}
    look, following = titles["settle-hooks"], titles["install.d/environment"]

    assert following.waits_for == (look.key,)
    assert following.after == (titles["extra-data.d/20-data"].key,)


def test_programs_of_fetch_d_run_beside_the_hooks_until_install_d(search: Path) -> None:
    write_element(
        search / "app",
        {"fetch.d/50-app": "download", "pre-install.d/10-app": "true"},
        deps=["os"],
    )

    steps = {step.title: step for step in plan_of(search).steps}

    fetch = steps["fetch"]
    assert fetch.after == (steps["extra-data.d/20-data"].key,)
    assert [path for path, _ in fetch.files] == ["fetch.d/50-app"]
    assert fetch.key not in steps["pre-install.d/10-app"].waits_for
    assert fetch.key in steps["install.d/environment"].waits_for
    assert fetch.key in steps["install.d/100-late"].waits_for
    assert fetch.key not in steps["finish-root"].waits_for
    assert steps["install.d/environment"].after == (steps["pre-install.d/10-app"].key,)


def test_what_is_fetched_changes_no_other_step(search: Path) -> None:
    write_element(search / "app", {"fetch.d/50-app": "download"}, deps=["os"])
    before = plan_of(search)

    (search / "app" / "fetch.d" / "50-app").write_text("#!/bin/bash\ndownload more\n")

    assert changed(before, plan_of(search)) == ["fetch"]


def test_nothing_is_fetched_offline(search: Path) -> None:
    write_element(search / "app", {"fetch.d/50-app": "download"}, deps=["os"])

    plan = plan_of(search, user={"DIB_OFFLINE": "1"})

    assert "fetch" not in [step.title for step in plan.steps]


def test_an_output_type_more_changes_no_other_step(search: Path) -> None:
    before = plan_of(search, types=("tar",))

    after = plan_of(search, types=("tar", "raw"))

    assert changed(before, after) == ["disk", "raw"]


def test_a_hook_that_was_found_but_not_planned_may_read_everything(search: Path) -> None:
    settled = {"install.d": [["30-app", "aa"], ["40-new", "bb"], ["100-late", "cc"]]}

    plan = plan_of(search, settled=settled)

    added = next(step for step in plan.steps if step.name == "40-new")
    assert added.names.everything
    assert added.files == (("install.d/40-new", "bb"),)


def test_a_listing_as_planned_gives_the_same_plan(search: Path) -> None:
    settled = {
        "install.d": [["30-app", "aa"], ["100-late", "cc"]],
        "finalise.d": [["40-end", "dd"]],
    }

    assert plan_of(search, settled=settled) == plan_of(search)


def test_a_plan_survives_json(search: Path) -> None:
    plan = plan_of(search)

    assert Plan.from_json(plan.to_json()) == plan


def test_the_graph_is_a_chain_with_outputs_side_by_side(search: Path) -> None:
    plan = plan_of(search)

    graph = plan.graph()

    disk, tar = (step for step in plan.outputs if step.name in {"disk", "tar"})
    assert set(graph.successors(plan.tree_steps[-1].key)) == {disk.key, tar.key}


def test_the_build_waits_for_the_outputs(search: Path) -> None:
    plan = plan_of(search)

    assert plan.ends == plan.outputs


def test_without_outputs_it_waits_for_the_last_step_of_the_tree(search: Path) -> None:
    plan = plan_of(search, outputs=False)

    assert [step.title for step in plan.ends] == ["clean-up"]
    assert changed(plan_of(search), plan) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(order=st.permutations(["os", "app", "third", "fourth"]))
def test_the_plan_does_not_depend_on_the_order_of_names(search: Path, order: Sequence[str]) -> None:
    for name in ("third", "fourth"):
        write_element(search / name, {f"install.d/30-{name}": "true"})

    plan = plan_of(search, requested=order)
    expected = plan_of(search, requested=["os", "app", "third", "fourth"])

    assert [step.title for step in plan.steps] == [step.title for step in expected.steps]


def test_a_definition_key_is_what_it_was() -> None:
    # Pinned on purpose: a change here makes every store forget what it knows. Say so in CHANGELOG.
    step = Step(
        number=3,
        kind=StepKind.HOOK,
        phase=Phase.INSTALL,
        name="10-x",
        element="x",
        after=("0" * 32,),
        files=(("install.d/10-x", "ab"),),
        variables=(("DIB_RELEASE", "bookworm"),),
        names=Names(exact=("DIB_RELEASE",)),
    )

    assert step.key == "9f088e0f0f240fc6e251f7c1ad6a15c7"


def test_the_content_key_counts_named_variables_only() -> None:
    step = Step(
        number=1, kind=StepKind.HOOK, phase=Phase.INSTALL, name="10-x", names=Names(exact=("A",))
    )

    one = step.content_key(["layer"], {"A": "1", "B": "1"})

    assert one == step.content_key(["layer"], {"A": "1", "B": "2"})
    assert one != step.content_key(["layer"], {"A": "2", "B": "1"})
    assert one != step.content_key(["other"], {"A": "1", "B": "1"})


def test_an_option_counts_for_the_types_that_know_it(search: Path) -> None:
    before = plan_of(search, types=("qcow2", "tar", "tgz", "squashfs"))

    after = plan_of(
        search,
        user={"DIB_GZIP_BIN": "gzip", "SOURCE_DATE_EPOCH": "1"},
        types=("qcow2", "tar", "tgz", "squashfs"),
    )

    assert changed(before, after) == ["tgz", "squashfs"]


def test_checksums_count_for_every_output(search: Path) -> None:
    before = plan_of(search)

    after = plan_of(search, user={"DIB_CHECKSUM": "md5"})

    assert changed(before, after) == ["qcow2", "tar"]


def test_a_manifest_counts_by_its_content_and_must_be_there(search: Path) -> None:
    manifest = search / "manifest.json"
    manifest.write_text("{}")
    before = plan_of(search, user={"ACI_MANIFEST": "manifest.json"}, types=("aci",))

    manifest.write_text("{ }")
    after = plan_of(search, user={"ACI_MANIFEST": "manifest.json"}, types=("aci",))

    assert changed(before, after) == ["aci"]
    with pytest.raises(UsageError, match=r'ACI_MANIFEST names "gone\.json"'):
        plan_of(search, user={"ACI_MANIFEST": "gone.json"}, types=("aci",))


PARTITIONED = """\
- local_loop:
    name: image0
- partitioning:
    base: image0
    label: mbr
    partitions:
      - name: root
        size: 100%
        mkfs:
          name: mkfs_root
          mount:
            mount_point: /
"""


def test_hooks_run_over_the_disk_where_there_are_partitions(search: Path) -> None:
    plan = plan_of(search, config=PARTITIONED)

    titles = [step.title for step in plan.steps]
    assert titles[titles.index("make-disk") : titles.index("make-disk") + 3] == [
        "make-disk",
        "copy-in",
        "finalise.d/environment",
    ]
    assert "disk" not in titles


def test_hooks_run_over_the_disk_where_one_names_the_block_device(search: Path) -> None:
    hook = search / "app" / "finalise.d" / "40-end"
    hook.write_text('#!/bin/bash\necho "$IMAGE_BLOCK_DEVICE"\n')

    assert plan_of(search).has_act("make-disk")


def test_which_block_device_it_is_counts_in_no_key(search: Path) -> None:
    hook = search / "app" / "finalise.d" / "40-end"
    hook.write_text('#!/bin/bash\necho "$IMAGE_BLOCK_DEVICE"\n')

    one = plan_of(search, user={"IMAGE_BLOCK_DEVICE": "/dev/loop1"})
    other = plan_of(search, user={"IMAGE_BLOCK_DEVICE": "/dev/loop2"})

    assert one == other


def test_another_size_is_another_disk_over_the_same_tree(search: Path) -> None:
    before = plan_of(search, config=PARTITIONED)

    after = plan_of(search, config=PARTITIONED, user={"DIB_JOURNAL_SIZE": "8"})

    assert changed(before, after)[0] == "make-disk"
