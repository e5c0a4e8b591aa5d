"""DIB's image YAML, built as DIB's own command builds it."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from dibflow.engine.journal import Happening
from tests.system.harness import ELEMENTS, Ended, Workshop

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mknod")


def build(workshop: Workshop, text: str, *options: str) -> Ended:
    """Build what `text` describes."""
    (workshop.folder / "image.yaml").write_text(dedent(text))
    return workshop.run("dibflow", "build", "image.yaml", *options)


def made(workshop: Workshop) -> set[str]:
    return {file.name for file in workshop.folder.glob("*.tar")}


THREE = """\
- {imagename: one, types: [tar], skip-base: true, elements: [tiny-os, bad]}
- {imagename: two, types: [tar], skip-base: true, elements: [tiny-os, tiny-extra]}
- {imagename: three, types: [tar], skip-base: true, elements: [tiny-os]}
"""


def test_a_failure_leaves_the_other_images_alone(workshop: Workshop) -> None:
    workshop.hook("bad/install.d/50-bad", "exit 7")

    ended = build(workshop, THREE)

    assert ended.status == 6
    assert ended.output.count("50-bad") >= 1
    assert made(workshop) == {"two.tar", "three.tar"}


def test_a_failure_stops_the_other_images_if_that_is_wanted(workshop: Workshop) -> None:
    workshop.hook("bad/root.d/00-bad", "exit 7")

    ended = build(workshop, THREE, "--stop-on-failure")

    assert ended.status == 6
    assert made(workshop) == set()


def test_images_share_the_steps_that_are_the_same(workshop: Workshop) -> None:
    workshop.hook("app/install.d/50-app", "true")

    build(
        workshop,
        """\
        - {imagename: one, types: [tar], skip-base: true, elements: [tiny-os, app]}
        - {imagename: two, types: [tar], skip-base: true, elements: [tiny-os]}
        """,
    )

    assert made(workshop) == {"one.tar", "two.tar"}
    assert workshop.titles(Happening.BUILT).count("root.d/10-tiny-root") == 1


def test_a_dry_run_prints_commands_and_builds_nothing(workshop: Workshop) -> None:
    ended = build(
        workshop,
        """\
        - {imagename: one, environment: {A: "b c"}, packages: [jq], elements: [tiny-os]}
        - {imagename: two, ramdisk: true, elements: [tiny-os]}
        """,
        "--dry-run",
    )

    assert (ended.status, ended.output.splitlines()) == (
        0,
        [
            "A='b c' dibflow disk-image-create -o one -t qcow2 -p jq tiny-os",
            "dibflow ramdisk-image-create -o two -t qcow2 tiny-os",
        ],
    )
    assert not workshop.store.exists()


def test_a_plan_looks_for_elements_where_each_image_says(workshop: Workshop) -> None:
    other = Path(workshop.folder, "other", "who", "install.d")
    other.mkdir(parents=True)
    (other / "50-who").write_text("#!/bin/bash\n")
    (other / "50-who").chmod(0o755)
    path = f"{workshop.folder}/other:{ELEMENTS}"
    (workshop.folder / "image.yaml").write_text(
        "- {imagename: one, skip-base: true, elements: [tiny-os]}\n"
        "- {imagename: two, skip-base: true, elements: [tiny-os, who], "
        f'environment: {{ELEMENTS_PATH: "{path}"}}}}\n'
    )

    ended = workshop.run("dibflow", "plan", "image.yaml")

    assert ended.status == 0, ended.output
    assert ended.output.count("install.d/50-who") == 1


def test_several_files_are_one_list(workshop: Workshop) -> None:
    (workshop.folder / "a.yaml").write_text("imagename: one\nelements: [tiny-os]\n")
    (workshop.folder / "b.yaml").write_text("packages: [jq]\n")

    ended = workshop.run("dibflow", "build", "a.yaml", "b.yaml", "--dry-run")

    assert ended.output == "dibflow disk-image-create -o one -t qcow2 -p jq tiny-os\n"


def test_a_log_file_has_what_its_image_printed(workshop: Workshop) -> None:
    workshop.hook("talk/install.d/50-talk", "echo spoken")

    build(
        workshop,
        """\
        - {imagename: one, logfile: one.log, types: [tar], skip-base: true,
           elements: [tiny-os, talk]}
        - {imagename: two, types: [tar], skip-base: true, elements: [tiny-os]}
        """,
    )

    log = (workshop.folder / "one.log").read_text()
    assert re.search(r"\d \| spoken\n", log)
    assert log.count("| dibflow: tar: running") == 1


def test_an_image_may_have_elements_and_an_environment_of_its_own(workshop: Workshop) -> None:
    other = Path(workshop.folder, "other", "who", "install.d")
    other.mkdir(parents=True)
    (other / "50-who").write_text('#!/bin/bash\necho "${GREETING:-} ${NAME:-nobody}" >/etc/who\n')
    (other / "50-who").chmod(0o755)
    workshop.hook("who/install.d/50-who", "echo of the caller >/etc/who")
    workshop.variables["NAME"] = "caller"

    ended = build(
        workshop,
        f"""\
        - imagename: demo
          clear: true
          types: [tar]
          skip-base: true
          elements: [tiny-os, who]
          environment: {{GREETING: hello, ELEMENTS_PATH: "{workshop.folder}/other:{ELEMENTS}"}}
        - {{imagename: two, types: [tar], skip-base: true, elements: [tiny-os, who]}}
        """,
    )

    assert ended.status == 0, ended.output
    assert workshop.text("etc/who") == "hello nobody\n"
    text = workshop.run("tar", "-xOf", "two.tar", "./etc/who").output
    assert text == "of the caller\n"


@pytest.mark.needs("mkfs.ext4", "dumpe2fs")
def test_sizes_are_those_that_were_asked_for(workshop: Workshop) -> None:
    ended = build(
        workshop,
        """\
        - imagename: demo
          types: [raw]
          checksum: true
          image-size: 1
          mkfs-journal-size: 8
          mkfs-options: -i 8192
          root-label: mine
          skip-base: true
          elements: [tiny-os]
        """,
    )

    assert ended.status == 0, ended.output
    assert (workshop.folder / "demo.raw").stat().st_size == 1024**3
    assert (workshop.folder / "demo.raw.sha256").exists()
    told = workshop.run("dumpe2fs", "-h", "demo.raw").output
    assert re.search(r"volume name: +mine\n", told)
    assert re.search(r"journal size: +8M\n", told)
