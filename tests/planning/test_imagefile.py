"""Image definitions read from YAML."""

from __future__ import annotations

import tempfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dibflow.errors import DefinitionError
from dibflow.planning.definition import ImageDefinition
from dibflow.planning.imagefile import read_image_file


def read(tmp_path: Path, text: str, **others: str) -> tuple[ImageDefinition, ...]:
    """Read `text` as image.yaml beside `others`, named without their extension."""
    for name, content in {"image": text, **others}.items():
        (tmp_path / f"{name}.yaml").write_text(dedent(content))
    return read_image_file(tmp_path / "image.yaml")


def refusal(tmp_path: Path, text: str, **others: str) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        read(tmp_path, text, **others)
    assert "\n" not in caught.value.message
    return caught.value


def test_a_mapping_is_one_image(tmp_path: Path) -> None:
    (image,) = read(tmp_path, "elements: [debian-minimal]")

    assert image == ImageDefinition(elements=("debian-minimal",))


def test_every_key_sets_its_option(tmp_path: Path) -> None:
    (image,) = read(
        tmp_path,
        """\
        imagename: out/deb
        arch: arm64
        types: [qcow2, tar]
        environment: {DIB_RELEASE: bookworm, A: ""}
        ramdisk: true
        debug-trace: 2
        uncompressed: true
        clear: true
        logfile: build.log
        checksum: true
        image-size: 1.5
        image-extra-size: 100
        image-cache: /cache
        max-online-resize: 4096
        min-tmpfs: 4
        mkfs-journal-size: 32
        mkfs-options: -i 8192
        no-tmpfs: true
        offline: true
        qemu-img-options: {compat: "0.10", cluster_size: 64k}
        root-label: root
        ramdisk-element: dracut-ramdisk
        install-type: package
        docker-target: repo:tag
        packages: [vim, jq]
        skip-base: true
        elements: [vm, debian-minimal]
        """,
    )

    assert image == ImageDefinition(
        name="out/deb",
        arch="arm64",
        types=("qcow2", "tar"),
        environment=(("A", ""), ("DIB_RELEASE", "bookworm")),
        ramdisk=True,
        debug_trace=2,
        uncompressed=True,
        clear=True,
        logfile="build.log",
        checksum=True,
        image_size_gib=1.5,
        image_extra_size_mib=100,
        image_cache="/cache",
        max_online_resize=4096,
        min_tmpfs_gib=4,
        mkfs_journal_size_mib=32,
        mkfs_options="-i 8192",
        no_tmpfs=True,
        offline=True,
        qemu_img_options="compat=0.10,cluster_size=64k",
        root_label="root",
        ramdisk_element="dracut-ramdisk",
        install_type="package",
        docker_target="repo:tag",
        packages=("vim", "jq"),
        skip_base=True,
        elements=("vm", "debian-minimal"),
    )


def test_mappings_of_one_name_are_merged_and_a_missing_name_goes_on(tmp_path: Path) -> None:
    first, second = read(
        tmp_path,
        """\
        - imagename: a
          elements: [debian-minimal]
          environment: {X: "1", Y: "1"}
          root-label: old
        - elements: [web]
          root-label: new
        - imagename: b
          elements: [fedora]
        - imagename: a
          environment: {Y: "2"}
        """,
    )

    assert first.name == "a"
    assert first.elements == ("debian-minimal", "web")
    assert first.variables == {"X": "1", "Y": "2"}
    assert first.root_label == "new"
    assert second == ImageDefinition(name="b", elements=("fedora",))


def test_an_include_stands_before_the_keys_beside_it(tmp_path: Path) -> None:
    (image,) = read(
        tmp_path,
        """\
        include: common.yaml
        elements: [web]
        environment: {Y: own}
        root-label: own
        """,
        common="""\
        elements: [debian-minimal]
        environment: {X: shared, Y: shared}
        root-label: shared
        arch: amd64
        """,
    )

    assert image == ImageDefinition(
        elements=("debian-minimal", "web"),
        environment=(("X", "shared"), ("Y", "own")),
        root_label="own",
        arch="amd64",
    )


def test_includes_are_relative_to_their_file_nested_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/a.yaml").write_text("include: b.yaml\nelements: [a]\n")
    (tmp_path / "parts/b.yaml").write_text("elements: [b]\n")

    (image,) = read(
        tmp_path,
        "include: [parts/a.yaml, c.yaml]\nelements: [own]\n",
        c="- elements: [c]\n- elements: [d]\n",
    )

    assert image.elements == ("b", "a", "c", "d", "own")


def test_one_file_may_be_included_twice_if_there_is_no_circle(tmp_path: Path) -> None:
    images = read(
        tmp_path,
        """\
        - {imagename: a, include: common.yaml}
        - {imagename: b, include: common.yaml}
        """,
        common="elements: [debian-minimal]",
    )

    assert [image.elements for image in images] == [("debian-minimal",), ("debian-minimal",)]


def test_includes_in_a_circle_are_refused_with_the_chain(tmp_path: Path) -> None:
    error = refusal(tmp_path, "include: a.yaml", a="include: b.yaml", b="x: 1\ninclude: image.yaml")
    assert 'key "x"' in error.message

    error = refusal(tmp_path, "include: a.yaml", a="include: b.yaml", b="\ninclude: image.yaml")

    chain = " -> ".join(f"{tmp_path}/{name}.yaml" for name in ("image", "a", "b", "image"))
    assert error.message == (
        f'{tmp_path}/b.yaml:2: key "include": includes files in a circle: {chain}'
    )


def test_a_mistake_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    error = refusal(tmp_path, "include: a.yaml\nelements: [x]", a="\narch: i386")

    assert error.message.startswith(
        f'{tmp_path}/a.yaml:2: key "arch": found "i386" as architecture, expected one of aarch64'
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", ":1: found nothing, expected a mapping or a list of mappings"),
        ("[]", ":1: found an empty list, expected a list of mappings"),
        ("debian", ':1: found the text "debian", expected a mapping'),
        ("- debian", ':1: found the text "debian", expected a mapping'),
        ("arch: amd64", ':1: image "image" has no key "elements"'),
        ("elements: []", ':1: key "elements": found no element, expected at least one'),
        ("\nelements: x", ':2: key "elements": found the text "x", expected a list of strings'),
        ("elements:\n- x\n- 1", ':3: key "elements": found the number "1", expected a string'),
        ("elements: [x]\nelemnts: [y]", ':2: key "elemnts": is not known here'),
        ("elements: [x]\nelements: [y]", ':2: key "elements": is given twice, first on line 1'),
        ("imagename: ''", ':1: key "imagename": found "" as name, expected the path'),
        ("imagename: 12", ':1: key "imagename": found the number "12", expected a string'),
        ("types: [ami]", ':1: key "types": found "ami" as type, expected one of raw, qcow2'),
        ("image-size: 0", ':1: key "image-size": found "0" as image size, expected a number'),
        ("image-size: .nan", ':1: key "image-size": found "nan" as image size, expected a number'),
        ("image-size: big", ':1: key "image-size": found the text "big", expected a number'),
        ("min-tmpfs: 0", ':1: key "min-tmpfs": found the number "0", expected a whole number'),
        ("min-tmpfs: 1.5", ':1: key "min-tmpfs": found the number "1.5", expected a whole number'),
        ("debug-trace: 3", ':1: key "debug-trace": found the number "3", expected 0, 1 or 2'),
        ("offline: 1", ':1: key "offline": found the number "1", expected true or false'),
        ("install-type: repo", ':1: key "install-type": found "repo" as install type'),
        ("environment: [A=1]", ':1: key "environment": found a list, expected a mapping'),
        ("environment: {A-B: x}", ':1: key "environment": found "A-B" as name of a variable'),
        ("include: none.yaml", ':1: key "include": found the text "none.yaml", expected a file'),
        ("include: {a: b}", ':1: key "include": found a mapping, expected a string'),
        ("elements: [x\n", ":2: broken YAML: while parsing a flow sequence"),
    ],
)
def test_whatever_is_wrong_is_refused_with_its_place(
    tmp_path: Path, text: str, complaint: str
) -> None:
    error = refusal(tmp_path, text)

    assert error.message.startswith(f"{tmp_path}/image.yaml{complaint}")


@pytest.mark.parametrize(("value", "quoted"), [("1", '"1"'), ("yes", '"yes"'), ("1.10", '"1.10"')])
def test_an_unquoted_value_of_a_variable_is_refused_with_its_quoted_form(
    tmp_path: Path, value: str, quoted: str
) -> None:
    error = refusal(tmp_path, f"elements: [x]\nenvironment:\n  DIB_X: {value}\n")

    assert ':3: key "environment.DIB_X": found the ' in error.message
    assert error.hint == f"quote it: {quoted}"


def test_a_mistyped_key_gets_a_hint(tmp_path: Path) -> None:
    assert refusal(tmp_path, "elemnts: [x]").hint == 'did you mean "elements"?'


def test_a_name_that_is_only_the_extension_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, "imagename: .raw\ntypes: [raw]\nelements: [x]")

    assert error.message == (
        f'{tmp_path}/image.yaml:1: image ".raw": '
        'found "" as name, expected the path of a file, without its extension'
    )


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"none\.yaml: cannot be read: No such file"):
        read_image_file(tmp_path / "none.yaml")


words = st.sampled_from(["a", "b", "c"])
entries = st.fixed_dictionaries(
    {"elements": st.lists(words, min_size=1, max_size=3)},
    optional={
        "imagename": words,
        "packages": st.lists(words, max_size=2),
        "environment": st.dictionaries(st.sampled_from(["X", "Y"]), words),
        "root-label": words,
    },
)


@given(st.lists(entries, min_size=1, max_size=5))
def test_merging_equals_that_of_diskimage_builder(drawn: list[dict[str, Any]]) -> None:
    upstream = pytest.importorskip("diskimage_builder.diskimage_builder")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.yaml")
        path.write_text(yaml.safe_dump(drawn))

        ours = read_image_file(path)

        theirs = upstream.build_commands(yaml.safe_load(path.read_text()))
    assert [image.variables for image in ours] == [command.environ for command in theirs]
    for image, command in zip(ours, theirs, strict=True):
        options = ["-o", image.name] if "-o" in command.args else []
        options += ["--root-label", image.root_label] if image.root_label else []
        options += ["-p", ",".join(image.packages)] if image.packages else []
        assert command.args == [*options, *image.elements]
