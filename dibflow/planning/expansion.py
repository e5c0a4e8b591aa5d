"""From the elements a person names to all the elements of an image."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from dibflow.errors import (
    AlreadyProvided,
    DefinitionError,
    ElementError,
    ElementNotFound,
    MissingOperatingSystem,
)
from dibflow.yamlfile import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dibflow.planning.element import Element

OPERATING_SYSTEM = "operating-system"
"""What some element of every image has to provide."""
NO_FINAL_IMAGE = "no-final-image"
"""The element whose images are not made: another one makes what is wanted by itself."""

_EFI_ARCHITECTURES = frozenset(("arm64", "aarch64"))


def command_line_elements(
    requested: Sequence[str],
    *,
    prefix: Sequence[str] = (),
    arch: str,
    skip_base: bool = False,
    ramdisk_element: str | None = None,
) -> tuple[str, ...]:
    """Give the list that the image commands expand when a person names `requested`.

    `prefix` are the words of the variable ``IMAGE_ELEMENT``. ``vm`` alone gets the block device
    customary for `arch`; ``base`` goes first unless `skip_base`, and `ramdisk_element` before it.
    """
    names = [*prefix, *requested]
    if "vm" in names and not any(name.startswith("block-device-") for name in names):
        efi = arch in _EFI_ARCHITECTURES
        names.append("block-device-efi" if efi else "block-device-mbr")
    if not skip_base:
        names.insert(0, "base")
    if ramdisk_element is not None:
        names.insert(0, ramdisk_element)
    return tuple(names)


def expand(requested: Sequence[str], elements: Mapping[str, Element]) -> tuple[Element, ...]:
    """Give `requested` and all they depend on, sorted by name, without what others provide.

    The search goes breadth first, as in diskimage-builder, so a name that only exists as something
    provided must come after its provider. Where diskimage-builder leaves the order of one element's
    dependencies to chance, providers go first and names that no element has go last.

    Raises ElementNotFound, AlreadyProvided (two providers, or a provided name in `requested`) or
    MissingOperatingSystem.
    """
    queue = deque(requested)
    chosen = set(requested)
    asked_by: dict[str, Element] = {}
    provided_by: dict[str, Element] = {}
    while queue:
        name = queue.popleft()
        if name in provided_by:
            continue
        if name not in elements:
            raise _not_found(name, asked_by.get(name), elements)
        element = elements[name]
        for provided in element.provides:
            if provided in provided_by:
                raise _provided_twice(provided, provided_by[provided], element)
            provided_by[provided] = element
        new = [dep for dep in element.deps if dep not in chosen and dep not in provided_by]
        queue.extend(_providers_first(new, elements))
        for dep in element.deps:
            asked_by.setdefault(dep, element)
        chosen.update(element.deps)

    for name in requested:
        if name in provided_by:
            raise _requested_though_provided(name, provided_by[name])
    if OPERATING_SYSTEM not in provided_by:
        raise _no_operating_system(requested, elements)
    return tuple(elements[name] for name in sorted(chosen - provided_by.keys()))


def _providers_first(names: Iterable[str], elements: Mapping[str, Element]) -> list[str]:
    def rank(name: str) -> tuple[int, str]:
        if name not in elements:
            return 2, name
        return (0 if elements[name].provides else 1), name

    return sorted(names, key=rank)


def _providers(name: str, elements: Mapping[str, Element]) -> list[str]:
    """Name the elements that provide `name`, for a hint; those that cannot be read are left out."""
    providers = []
    for candidate in elements:
        try:
            if name in elements[candidate].provides:
                providers.append(candidate)
        except (ElementError, DefinitionError):
            continue
    return providers


def _one_of(names: Sequence[str]) -> str:
    quoted = [f'"{name}"' for name in names[:5]]
    return ", ".join(quoted) + (", ..." if len(names) > 5 else "")


def _not_found(
    name: str, asked_by: Element | None, elements: Mapping[str, Element]
) -> ElementNotFound:
    asker = (
        f'needed by "{asked_by.name}" ({asked_by.where_needed(name)})'
        if asked_by
        else "asked for by the image itself"
    )
    providers = _providers(name, elements)
    if providers and asked_by is None:
        hint = f"name one that provides it: {_one_of(providers)}"
    elif providers:
        hint = f"add one that provides it to the image: {_one_of(providers)}"
    else:
        hint = did_you_mean(name, elements) or "check the name and ELEMENTS_PATH"
    return ElementNotFound(f'no element "{name}" on the elements path, {asker}', hint=hint)


def _provided_twice(name: str, first: Element, second: Element) -> AlreadyProvided:
    if first.name == second.name:
        return AlreadyProvided(
            f'element "{first.name}", which provides "{name}", is named twice', hint="name it once"
        )
    return AlreadyProvided(
        f'"{name}" is provided by two elements of the image: "{first.name}" ({first.path})'
        f' and "{second.name}" ({second.path})',
        hint="leave one of them out",
    )


def _requested_though_provided(name: str, provider: Element) -> AlreadyProvided:
    return AlreadyProvided(
        f'"{name}" is asked for, but "{provider.name}" ({provider.path}) provides it already',
        hint=f'leave out "{name}" or "{provider.name}"',
    )


def _no_operating_system(
    requested: Sequence[str], elements: Mapping[str, Element]
) -> MissingOperatingSystem:
    named = f"of {_one_of(requested)} " if requested else ""
    providers = _providers(OPERATING_SYSTEM, elements)
    return MissingOperatingSystem(
        f"no element {named}or their dependencies provides an operating system",
        hint=f"add one, such as {_one_of(providers)}" if providers else "",
    )
