"""What other elements there are: some mistakes only show beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dibflow.errors import DefinitionError, ElementError
from dibflow.planning.element import Element, ElementPath
from dibflow.planning.expansion import OPERATING_SYSTEM
from dibflow.planning.hooks import ENVIRONMENT_DIRECTORY, scan_element


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One element of the path.

    `merged` are its files that clash with those of the same path in another element: those
    directly in a folder of the hooks tree. `distribution` says that it gives the image its
    ``DISTRO_NAME``.
    """

    name: str
    deps: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    merged: frozenset[str] = frozenset()
    readme: str = ""
    distribution: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All elements on offer, by name."""

    neighbours: Mapping[str, Neighbour] = field(default_factory=dict)

    def beside(self, element: Neighbour) -> Surroundings:
        """Give the same with `element` in the place of its namesake."""
        return Surroundings({**self.neighbours, element.name: element})

    def offers(self, name: str) -> bool:
        """Tell whether an element has the name or provides it."""
        return name in self.neighbours or any(
            name in one.provides for one in self.neighbours.values()
        )

    def closure(self, *names: str) -> dict[str, Neighbour]:
        """Give the elements of `names` and all they depend on, as far as they are on offer."""
        found: dict[str, Neighbour] = {}
        queue = list(names)
        while queue:
            name = queue.pop()
            if name not in found and name in self.neighbours:
                found[name] = self.neighbours[name]
                queue.extend(found[name].deps)
        return found

    def usable_together(self, first: str, second: str) -> bool:
        """Tell whether an image can have both.

        Not so if both bring a distribution; if some name would be provided twice; or if both belong
        to operating systems (as package managers do), and none of these has the two.
        """
        union = self.closure(first, second)
        providers: dict[str, str] = {}
        for element in union.values():
            for provided in element.provides:
                if providers.setdefault(provided, element.name) != element.name:
                    return False
        if first in providers or second in providers:
            return False
        if all(self.neighbours[name].distribution for name in (first, second)):
            return first in self.closure(second) or second in self.closure(first)
        homes = self._systems_with(first), self._systems_with(second)
        return not all(homes) or bool(homes[0] & homes[1])

    def _systems_with(self, name: str) -> frozenset[str]:
        """Name the operating systems that an element needs, or else those that need it."""
        systems = [one.name for one in self.neighbours.values() if OPERATING_SYSTEM in one.provides]
        own = self.closure(name)
        needed = frozenset(system for system in systems if system in own)
        return needed or frozenset(system for system in systems if name in self.closure(system))


def neighbour(element: Element) -> Neighbour:
    """Read what matters of one element. Raises ElementError."""
    merged = [file for file in scan_element(element).files if file.path.count("/") == 1]
    distribution = any(
        "DISTRO_NAME=" in file.source.read_text(encoding="utf-8", errors="replace")
        for file in merged
        if file.path.startswith(f"{ENVIRONMENT_DIRECTORY}/") and file.source.is_file()
    )
    readme = ""
    for name in ("README.md", "README.rst"):
        if (element.path / name).is_file():
            readme = (element.path / name).read_text(encoding="utf-8", errors="replace")
            break
    return Neighbour(
        name=element.name,
        deps=element.deps,
        provides=element.provides,
        merged=frozenset(file.path for file in merged),
        readme=readme,
        distribution=distribution,
    )


def look_around(elements: ElementPath) -> Surroundings:
    """Read all elements of a path; one that is broken counts with its name alone."""
    found: dict[str, Neighbour] = {}
    for name in elements:
        try:
            found[name] = neighbour(elements[name])
        except (ElementError, DefinitionError):
            found[name] = Neighbour(name)
    return Surroundings(found)
