"""``luigi --module dibflow BuildImage``: one image, from elements or a definition file."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import luigi

from dibflow.engine import making
from dibflow.engine.build import Build, BuildRequest
from dibflow.errors import DibflowError, UsageError
from dibflow.planning.definition import ImageDefinition
from dibflow.planning.imagefile import read_image_file
from dibflow.store.location import store_location
from dibflow.tasks.interrupts import stop_cleanly
from dibflow.tasks.opening import plan_build
from dibflow.tasks.settings import store_setting, under_luigi_command
from dibflow.tasks.steps import BuildTask, hooks_tree_task, noted_failure, phase_tasks, step_task


class BuildImage(luigi.Task):
    """Build an image and write its outputs; what is finished already is not done again."""

    elements: luigi.Parameter[str] = luigi.Parameter(
        default="", description="element names, separated by commas"
    )
    name: luigi.Parameter[str] = luigi.Parameter(
        default="", description="path of the outputs without extension (default: image)"
    )
    types: luigi.Parameter[str] = luigi.Parameter(
        default="", description="output types, separated by commas (default: qcow2)"
    )
    image: luigi.Parameter[str] = luigi.Parameter(
        default="", description="definition file (YAML) instead of elements"
    )
    arch: luigi.Parameter[str] = luigi.Parameter(
        default="", description="architecture (default: this machine's)"
    )
    packages: luigi.Parameter[str] = luigi.Parameter(
        default="", description="extra packages, separated by commas"
    )
    skip_base: luigi.BoolParameter = luigi.BoolParameter(
        description="leave the element base out, as -n does"
    )
    checksum: luigi.BoolParameter = luigi.BoolParameter(
        description="write the MD5 and the SHA-256 of each output beside it"
    )
    docker_target: luigi.Parameter[str] = luigi.Parameter(
        default="", description="name of the image in oci and docker outputs"
    )
    image_size: luigi.OptionalFloatParameter = luigi.OptionalFloatParameter(
        default=None,
        description="size of the image in GiB (default: what its tree takes)",
    )
    image_extra_size: luigi.OptionalIntParameter = luigi.OptionalIntParameter(
        default=None, description="room beyond what the tree takes, in MiB"
    )
    root_label: luigi.Parameter[str] = luigi.Parameter(
        default="", description="label of the root filesystem"
    )
    mkfs_options: luigi.Parameter[str] = luigi.Parameter(
        default="", description="options for the root filesystem's mkfs"
    )
    mkfs_journal_size: luigi.OptionalIntParameter = luigi.OptionalIntParameter(
        default=None, description="journal of the root filesystem, in MiB (default: 64)"
    )
    max_online_resize: luigi.OptionalIntParameter = luigi.OptionalIntParameter(
        default=None, description="blocks up to which the root filesystem can grow while mounted"
    )
    qemu_img_options: luigi.Parameter[str] = luigi.Parameter(
        default="", description="options for qcow2, as key=value with commas"
    )
    uncompressed: luigi.BoolParameter = luigi.BoolParameter(description="no qcow2 compression")
    install_type: luigi.Parameter[str] = luigi.Parameter(
        default="", description="source or package (default: source)"
    )
    image_cache: luigi.Parameter[str] = luigi.Parameter(
        default="", significant=False, description="where elements keep downloads"
    )
    store: luigi.Parameter[str] = luigi.Parameter(
        default="", significant=False, description="folder of the store"
    )
    refresh: luigi.BoolParameter = luigi.BoolParameter(
        significant=False, description="take everything downloaded as stale"
    )
    offline: luigi.BoolParameter = luigi.BoolParameter(
        significant=False, description="ask no mirror anything"
    )
    strict_inputs: luigi.BoolParameter = luigi.BoolParameter(
        significant=False, description="hide from hooks each variable that is not in their keys"
    )

    @functools.cached_property
    def build(self) -> Build:
        """The build, planned when first asked for.

        Under the luigi command a person's mistake ends it here: one message, no traceback.
        """
        try:
            return plan_build(self._request())
        except DibflowError as error:
            if not under_luigi_command():
                raise
            print(f"dibflow: {error}", file=sys.stderr)  # noqa: T201 - luigi has no other way
            raise SystemExit(error.exit_status) from None

    def _request(self) -> BuildRequest:
        return BuildRequest(
            definition=self._definition(),
            store=store_location(self.store, os.environ, setting=store_setting(), uid=os.geteuid()),
            folder=Path.cwd(),
            environment=dict(os.environ),
            refresh=self.refresh,
            strict_inputs=self.strict_inputs,
        )

    def _definition(self) -> ImageDefinition:
        if bool(self.image) == bool(self.elements):
            found = "both" if self.image else "neither"
            raise UsageError(
                f"BuildImage takes either --elements or --image, found {found}",
                hint="for example: luigi --module dibflow BuildImage --elements debian-minimal",
            )
        if not self.image:
            return ImageDefinition(
                elements=_words(self.elements),
                name=self.name or "image",
                types=_words(self.types) or ("qcow2",),
                arch=self.arch or None,
                packages=_words(self.packages),
                skip_base=self.skip_base,
                checksum=self.checksum,
                docker_target=self.docker_target or None,
                image_size_gib=self.image_size,
                image_extra_size_mib=self.image_extra_size,
                root_label=self.root_label or None,
                mkfs_options=self.mkfs_options,
                mkfs_journal_size_mib=self.mkfs_journal_size,
                max_online_resize=self.max_online_resize,
                qemu_img_options=self.qemu_img_options,
                uncompressed=self.uncompressed,
                install_type=self.install_type or None,
                image_cache=self.image_cache or None,
                offline=self.offline,
            )
        definitions = read_image_file(Path(self.image))
        chosen = [one for one in definitions if not self.name or one.name == self.name]
        if len(chosen) != 1:
            names = ", ".join(one.name for one in definitions)
            raise UsageError(
                f'"{self.image}" describes {len(definitions)} images: {names}',
                hint="choose one with --name",
            )
        return chosen[0]

    @staticmethod
    def of(build: Build) -> BuildImage:
        """Give the task of a build that has been planned already."""
        definition = build.definition
        size = definition.image_size_gib
        task = BuildImage(
            elements=",".join(definition.elements),
            name=definition.name,
            types=",".join(definition.types),
            image="",
            arch=definition.arch,
            packages=",".join(definition.packages),
            skip_base=definition.skip_base,
            checksum=definition.checksum,
            docker_target=definition.docker_target or "",
            image_size=None if size is None else float(size),
            image_extra_size=definition.image_extra_size_mib,
            root_label=definition.root_label,
            mkfs_options=definition.mkfs_options,
            mkfs_journal_size=definition.mkfs_journal_size_mib,
            max_online_resize=definition.max_online_resize,
            qemu_img_options=definition.qemu_img_options,
            uncompressed=definition.uncompressed,
            install_type=definition.install_type,
            image_cache=definition.image_cache or "",
            store=str(build.store.root),
            refresh=build.request.refresh,
            offline=definition.offline,
            strict_inputs=build.request.strict_inputs,
        )
        task.build = build
        return task

    def requires(self) -> list[BuildTask]:
        """Give the hooks tree, the phases and the outputs of the plan, or the last step without."""
        build = self.build
        build.begin()
        stop_cleanly(build)
        ends = [step_task(build, step) for step in build.plan.ends]
        return [hooks_tree_task(build), *phase_tasks(build), *ends]

    def complete(self) -> bool:
        """Tell whether the last run ended well and nothing has changed since: one check."""
        return self.build.is_finished()

    def run(self) -> Iterator[list[BuildTask]]:
        """Go on with what extra-data.d has changed in the plan, then write what stands beside."""
        build = self.build.settled()
        if build is not self.build:
            build.begin()
            yield [step_task(build, step) for step in build.plan.ends]
        making.finish(build)
        tell: Callable[[str], None] | None = getattr(self, "set_status_message", None)
        if tell is not None:
            types = ", ".join(build.definition.types) or "the tree"
            tell(f"built {types} of {build.stem()}")

    def on_failure(self, exception: BaseException) -> str:
        """Note a failure and give what the scheduler shows of it."""
        return noted_failure(self, self.build, exception, title="finishing the build")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
