"""Tests of the paths to shipped data; those of an installed wheel are in test_distribution.py."""

from dibflow import resources


def test_every_directory_is_there_and_has_no_link_in_its_path() -> None:
    for directory in (
        resources.elements_directory(),
        resources.config_directory(),
        resources.library_directory(),
        resources.tools_directory(),
    ):
        assert directory.is_dir()
        assert directory == directory.resolve()


def test_what_is_named_as_a_file_is_one() -> None:
    assert resources.host_tools_file().is_file()
    assert resources.initramfs_functions().is_file()
