"""What a build's hooks see of the elements path."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibflow import resources
from dibflow.engine.build import host_paths, without_shipped
from dibflow.planning.definition import ImageDefinition
from dibflow.planning.element import Element
from dibflow.planning.resolve import resolve

SHIPPED = resources.elements_directory()


def element(folder: Path, *overrides: Path) -> Element:
    return Element(name=folder.name, path=folder, overrides=overrides)


def elements_path_of(*elements: Element, user: str) -> str:
    definition = resolve(ImageDefinition(elements=("web",), name="image"), {})
    environment = {"ELEMENTS_PATH": user} if user else {}
    return host_paths(definition, elements, environment, store=Path("/store")).elements_path


@pytest.mark.parametrize(
    ("elements", "user", "path"),
    [
        ([SHIPPED / "base"], "", f"{SHIPPED}"),
        ([SHIPPED / "base", Path("/mine/web")], "/mine", f"/mine:{SHIPPED}"),
        ([Path("/mine/base"), Path("/other/web")], "/mine:/other", "/mine:/other"),
    ],
    ids=["shipped elements", "both", "a full set of others"],
)
def test_hooks_see_the_shipped_elements_if_the_image_has_one_of_them(
    elements: list[Path], user: str, path: str
) -> None:
    assert elements_path_of(*map(element, elements), user=user) == path


def test_a_full_set_of_others_hides_no_shipped_element() -> None:
    mine = element(Path("/mine/base"), Path("/other/base"), SHIPPED / "base")

    (found,) = without_shipped([mine], shipped=SHIPPED)

    assert found.overrides == (Path("/other/base"),)


def test_beside_a_shipped_element_the_hidden_ones_still_count() -> None:
    mine = element(Path("/mine/base"), SHIPPED / "base")

    found = without_shipped([mine, element(SHIPPED / "dpkg")], shipped=SHIPPED)

    assert found[0].overrides == (SHIPPED / "base",)
