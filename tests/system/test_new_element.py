"""A new element is built, and its own test judges the image."""

from __future__ import annotations

import pytest

from tests.system.harness import Workshop

pytestmark = pytest.mark.needs("root-namespaces", "overlay", "mknod")


@pytest.fixture
def made(workshop: Workshop) -> Workshop:
    """Make an element, and a stand-in for the packages that the tiny system cannot install."""
    ended = workshop.run("dibflow", "new-element", "web-server", "--folder", "elements")
    assert ended.status == 0, ended.output
    nothing = workshop.elements / "no-packages"
    nothing.mkdir()
    (nothing / "element-provides").write_text("package-installs\n")
    return workshop


def test_a_new_element_passes_its_own_test(made: Workshop) -> None:
    ended = made.run("elements/web-server/tests/run", "tiny-os", "no-packages")

    assert ended.status == 0, ended.output
    assert "web-server: the image is as it should be" in ended.output


def test_its_test_fails_when_the_hook_does_something_else(made: Workshop) -> None:
    made.hook("web-server/install.d/50-web-server", "echo greeting=x >/etc/web-server.conf")

    ended = made.run("elements/web-server/tests/run", "tiny-os", "no-packages")

    assert ended.status == 1
    assert 'found "greeting=x"' in ended.output
