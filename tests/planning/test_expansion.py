"""Expansion of element lists, checked against diskimage-builder's own where that is defined."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibflow.errors import (
    AlreadyProvided,
    ElementError,
    ElementNotFound,
    MissingOperatingSystem,
)
from dibflow.planning.element import Element
from dibflow.planning.expansion import command_line_elements, expand

if TYPE_CHECKING:
    from collections.abc import Sequence, Set


def element(name: str, *deps: str, provides: Sequence[str] = ()) -> Element:
    return Element(
        name,
        Path("/elements", name),
        deps=deps,
        provides=tuple(provides),
        deps_lines=tuple(range(1, len(deps) + 1)),
    )


def path_of(*elements: Element) -> dict[str, Element]:
    return {element.name: element for element in elements}


def names(expanded: Sequence[Element]) -> list[str]:
    return [element.name for element in expanded]


LINUX = element("linux", provides=["operating-system"])


def test_expand_adds_dependencies_of_dependencies() -> None:
    elements = path_of(LINUX, element("web", "server"), element("server", "ssl"), element("ssl"))

    assert names(expand(["web", "linux"], elements)) == ["linux", "server", "ssl", "web"]


def test_expand_accepts_cycles_and_self_dependencies() -> None:
    elements = path_of(LINUX, element("a", "b", "a"), element("b", "a"))

    assert names(expand(["a", "linux"], elements)) == ["a", "b", "linux"]


def test_expand_takes_a_name_given_twice_once_if_it_provides_nothing() -> None:
    assert names(expand(["linux", "a", "a"], path_of(LINUX, element("a")))) == ["a", "linux"]


def test_expand_refuses_a_provider_named_twice() -> None:
    with pytest.raises(AlreadyProvided, match='"linux", which provides "operating-system", is'):
        expand(["linux", "linux"], path_of(LINUX))


def test_expand_refuses_two_operating_systems_naming_both() -> None:
    elements = path_of(LINUX, element("hurd", provides=["operating-system"]))

    with pytest.raises(AlreadyProvided) as caught:
        expand(["linux", "hurd"], elements)

    assert caught.value.message == (
        '"operating-system" is provided by two elements of the image: '
        '"linux" (/elements/linux) and "hurd" (/elements/hurd)'
    )


def test_expand_drops_a_provided_name_even_when_an_element_has_it() -> None:
    elements = path_of(
        LINUX,
        element("vm", "bootloader"),
        element("zipl", provides=["bootloader"]),
        element("bootloader", "grub"),
        element("grub"),
    )

    assert names(expand(["zipl", "vm", "linux"], elements)) == ["linux", "vm", "zipl"]


def test_expand_keeps_the_dependencies_of_a_name_provided_too_late() -> None:
    elements = path_of(
        LINUX,
        element("vm", "bootloader"),
        element("late", "zipl"),
        element("zipl", provides=["bootloader"]),
        element("bootloader", "grub"),
        element("grub"),
    )

    assert names(expand(["vm", "late", "linux"], elements)) == [
        "grub",
        "late",
        "linux",
        "vm",
        "zipl",
    ]


def test_expand_finds_a_virtual_name_after_its_provider() -> None:
    elements = path_of(
        LINUX, element("vm", "block-device"), element("mbr", provides=["block-device"])
    )

    assert names(expand(["vm", "mbr", "linux"], elements)) == ["linux", "mbr", "vm"]


def test_expand_takes_providers_among_the_dependencies_of_one_element_first() -> None:
    elements = path_of(
        LINUX, element("vm", "block-device", "mbr"), element("mbr", provides=["block-device"])
    )

    assert names(expand(["vm", "linux"], elements)) == ["linux", "mbr", "vm"]


def test_expand_names_who_needs_a_missing_element_and_a_close_name() -> None:
    elements = path_of(LINUX, element("web", "linux", "ngnix"), element("nginx"))

    with pytest.raises(ElementNotFound) as caught:
        expand(["web"], elements)

    assert caught.value.message == (
        'no element "ngnix" on the elements path, needed by "web" (/elements/web/element-deps:2)'
    )
    assert caught.value.hint == 'did you mean "nginx"?'


def test_expand_names_the_providers_of_a_missing_virtual_element() -> None:
    elements = path_of(
        LINUX,
        element("vm", "block-device"),
        element("gpt", provides=["block-device"]),
        element("mbr", provides=["block-device"]),
    )

    with pytest.raises(ElementNotFound, match='no element "block-device"') as caught:
        expand(["vm", "linux"], elements)

    assert caught.value.hint == 'add one that provides it to the image: "gpt", "mbr"'


def test_expand_says_when_the_image_itself_asks_for_a_missing_element() -> None:
    with pytest.raises(ElementNotFound, match=r'"lunix".*asked for by the image itself') as caught:
        expand(["lunix"], path_of(LINUX))

    assert caught.value.hint == 'did you mean "linux"?'


def test_a_virtual_name_on_the_list_is_missing_first_and_provided_later() -> None:
    with pytest.raises(ElementNotFound):
        expand(["operating-system", "linux"], path_of(LINUX))
    with pytest.raises(AlreadyProvided, match=r'"linux" .* provides it already'):
        expand(["linux", "operating-system"], path_of(LINUX))


def test_a_listed_element_that_another_provides_is_refused() -> None:
    elements = path_of(LINUX, element("grub"), element("zipl", provides=["grub"]))

    with pytest.raises(AlreadyProvided, match='"grub" is asked for, but "zipl"'):
        expand(["grub", "zipl", "linux"], elements)


def test_expand_needs_an_operating_system() -> None:
    with pytest.raises(MissingOperatingSystem, match='no element of "web"') as caught:
        expand(["web"], path_of(LINUX, element("web")))

    assert caught.value.hint == 'add one, such as "linux"'


LETTERS = "abcdefg"
element_names = st.sampled_from(LETTERS)
virtual_names = st.sampled_from(["v", "w", "operating-system"])


@st.composite
def element_paths(draw: st.DrawFn, *, provides: bool = True) -> dict[str, Element]:
    """Draw elements with arbitrary dependencies, cycles and missing ones included."""
    present = draw(st.sets(element_names, min_size=1))
    any_name = element_names | virtual_names if provides else element_names
    drawn = {
        name: element(
            name,
            *draw(st.lists(any_name, unique=True, max_size=4)),
            provides=draw(st.lists(any_name, unique=True, max_size=2)) if provides else (),
        )
        for name in present
    }
    return drawn | {"linux": LINUX}


class OrderedDeps(set[str]):
    """A set whose difference comes out in dibflow's order, where upstream's order is chance."""

    def __init__(self, deps: Sequence[str], elements: dict[str, Element]) -> None:
        super().__init__(deps)
        self.elements = elements

    def __sub__(self, other: Set[object]) -> set[str]:
        def rank(name: str) -> tuple[bool, bool, str]:
            found = self.elements.get(name)
            return found is None, found is None or not found.provides, name

        left = sorted((dep for dep in self if dep not in other), key=rank)
        return dict.fromkeys(left).keys()  # type: ignore[return-value]  # a set that has an order


class UpstreamElement:
    """What diskimage-builder's expansion looks at."""

    def __init__(self, ours: Element, elements: dict[str, Element]) -> None:
        self.name = ours.name
        self.depends = OrderedDeps(ours.deps, elements)
        self.provides = set(ours.provides)


@given(elements=element_paths(), requested=st.lists(element_names | virtual_names, max_size=5))
def test_expand_equals_the_expansion_of_diskimage_builder(
    elements: dict[str, Element], requested: list[str]
) -> None:
    upstream = pytest.importorskip("diskimage_builder.element_dependencies")
    requested = [*requested, "linux"]
    kinds = {
        upstream.MissingElementException: ElementNotFound,
        upstream.AlreadyProvidedException: AlreadyProvided,
        upstream.MissingOSException: MissingOperatingSystem,
    }
    theirs: list[str] | type[ElementError]
    try:
        expanded = upstream._expand_element_dependencies(
            requested, {name: UpstreamElement(e, elements) for name, e in elements.items()}
        )
        theirs = sorted(element.name for element in expanded)
    except tuple(kinds) as error:
        theirs = kinds[type(error)]

    ours: list[str] | type[ElementError]
    try:
        ours = names(expand(requested, elements))
    except ElementError as error:
        ours = type(error)

    assert ours == theirs


@given(
    elements=element_paths(provides=False),
    orders=st.lists(element_names, max_size=4).flatmap(
        lambda chosen: st.tuples(st.just(chosen), st.permutations(chosen))
    ),
)
def test_expand_does_not_depend_on_the_order_of_elements_that_provide_nothing(
    elements: dict[str, Element], orders: tuple[list[str], list[str]]
) -> None:
    outcomes: list[list[str] | type[ElementError]] = []
    for requested in orders:
        try:
            outcomes.append(names(expand(["linux", *requested], elements)))
        except ElementNotFound as error:
            outcomes.append(type(error))

    assert outcomes[0] == outcomes[1]


def test_base_goes_first_unless_skipped() -> None:
    assert command_line_elements(["linux"], arch="amd64") == ("base", "linux")
    assert command_line_elements(["linux"], arch="amd64", skip_base=True) == ("linux",)


@pytest.mark.parametrize(
    ("arch", "device"),
    [
        ("amd64", "block-device-mbr"),
        ("arm64", "block-device-efi"),
        ("aarch64", "block-device-efi"),
    ],
)
def test_vm_alone_gets_the_customary_block_device(arch: str, device: str) -> None:
    assert command_line_elements(["vm", "linux"], arch=arch) == ("base", "vm", "linux", device)


def test_vm_with_a_block_device_gets_no_other() -> None:
    chosen = command_line_elements(["vm", "block-device-gpt"], arch="amd64")

    assert chosen == ("base", "vm", "block-device-gpt")


def test_the_prefix_stands_before_the_named_elements_and_counts_for_vm() -> None:
    chosen = command_line_elements(["vm"], prefix=["block-device-efi", "x"], arch="amd64")

    assert chosen == ("base", "block-device-efi", "x", "vm")


def test_the_ramdisk_element_stands_before_base() -> None:
    chosen = command_line_elements(["linux"], arch="amd64", ramdisk_element="ramdisk")

    assert chosen == ("ramdisk", "base", "linux")
