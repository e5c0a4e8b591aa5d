"""Read a block-device configuration: DIB's YAML, as a tree, as a graph, or as a mixture.

A configuration is a list; each entry is a mapping whose only key names a plugin. A plugin inside
another, or inside an item of ``partitions``, stands on that one: its ``base`` is the outer name and
its own ``name`` is ``<plugin>_<base>`` unless it is given.

Source: ``docs/block-devices.md``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dibflow.blockdevice.checks import Found, check_table, joined, line_of
from dibflow.blockdevice.fields import (
    Entry,
    read_alignment,
    read_choice,
    read_extents,
    read_filesystem_type,
    read_lvm_name,
    read_partition_type,
    read_share,
    read_size,
    read_uuid,
)
from dibflow.blockdevice.graph import DeviceGraph
from dibflow.blockdevice.labels import LABEL_LIMITS, check_label, stored_label
from dibflow.blockdevice.nodes import (
    DISK_NAME,
    NOT_MOUNTED,
    ROOT_FILESYSTEM,
    Fstab,
    LocalLoop,
    LogicalVolume,
    Mkfs,
    Mount,
    Node,
    Partition,
    Partitioning,
    PhysicalVolume,
    TableLabel,
    ThinType,
    VolumeGroup,
)
from dibflow.blockdevice.placement import EXTENT_BYTES
from dibflow.blockdevice.sizes import MIB, at_least_mib, is_share
from dibflow.errors import DefinitionError, UsageError
from dibflow.wording import human_bytes
from dibflow.yamlfile import YamlValue, did_you_mean, parse_yaml

FALLBACK = """\
- local_loop:
    name: image0
    mkfs:
      name: mkfs_root
      mount:
        mount_point: /
        fstab:
          options: defaults
          fsck-passno: 1
"""
"""The layout used when no element brings one: one filesystem, no partition table."""

DEFAULT_ROOT_LABEL = "cloudimg-rootfs"
DEFAULT_ROOT_LABEL_XFS = "img-rootfs"
"""As DIB: cloud images are called so, but the first name is too long for xfs."""

_SECTOR_SIZES = (512, 4096)
_GPT_NAME = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the command line and variables say where the configuration is silent.

    The first three are for the filesystem called ``mkfs_root``; `root_label` may be empty.
    `block_size` (``DIB_BLOCK_SIZE``) wins over the configuration.
    """

    root_fstype: str = "ext4"
    root_label: str = ""
    root_options: tuple[str, ...] = ()
    block_size: int | None = None


def read_config(text: str, *, source: Path, defaults: Defaults) -> DeviceGraph:
    """Read and check a configuration; `source` is the file that errors name.

    Raises DefinitionError, with file, line and key, for whatever cannot be made.
    """
    value = parse_yaml(text.encode(), source)
    if value is None:
        raise DefinitionError(
            f"{source}:1: holds nothing, expected a list of block devices",
            hint=f"the least is a local_loop called {DISK_NAME}",
        )
    reader = _Reader(defaults=defaults)
    for entry in value.items():
        reader.read_entry(entry)
    return joined(reader.found, value)


_PLUGINS = ("local_loop", "partitioning", "lvm", "mkfs", "mount", "fstab")
_OWN_KEYS = {
    "local_loop": ("name", "size", "directory", "block_size"),
    "partitioning": ("name", "base", "label", "align", "partitions"),
    "lvm": ("name", "base", "pvs", "vgs", "lvs"),
    "mkfs": ("name", "base", "type", "label", "opts", "uuid"),
    "mount": ("name", "base", "mount_point"),
    "fstab": ("name", "base", "options", "dump-freq", "fsck-passno"),
}
_PARTITION_KEYS = ("name", "base", "size", "flags", "type")
_PV_KEYS = ("name", "base", "options")
_LV_KEYS = ("name", "base", "size", "extents", "type", "thin-pool", "options")


@dataclass(slots=True)
class _Reader:
    """Turns the file into nodes, one after the other, then checks how they fit together.

    `labels` tells where the label of each filesystem stands.
    """

    defaults: Defaults
    found: Found = field(default_factory=Found)
    labels: dict[str, YamlValue] = field(default_factory=dict)

    def read_entry(self, entry: YamlValue) -> None:
        """Read an entry of the list, with all that stands inside."""
        plugins = entry.mapping()
        for name, value in plugins.items():
            if name not in _PLUGINS:
                close = did_you_mean(name, _PLUGINS)
                value.refuse(
                    "is no block-device plugin", hint=close or f"known are {', '.join(_PLUGINS)}"
                )
        if len(plugins) != 1:
            entry.refuse(
                f"found the keys {', '.join(plugins) or 'of nothing'}, expected a mapping with one "
                "key, the plugin",
                hint="indent what belongs to the plugin, or begin an entry of its own with a dash",
            )
        for name, value in plugins.items():
            self._read_plugin(name, value, parent=None)

    def _read_plugin(self, plugin: str, value: YamlValue, *, parent: str | None) -> None:
        fields = value.fields((*_OWN_KEYS[plugin], *_PLUGINS))
        entry = Entry(plugin, value, fields, parent)
        by_plugin: dict[str, Callable[[Entry], str]] = {
            "local_loop": self._read_local_loop,
            "partitioning": self._read_partitioning,
            "lvm": self._read_lvm,
            "mkfs": self._read_mkfs,
            "mount": self._read_mount,
            "fstab": self._read_fstab,
        }
        name = by_plugin[plugin](entry)
        self._read_inner(fields, name)

    def _read_inner(self, fields: dict[str, YamlValue], name: str) -> None:
        for key, value in fields.items():
            if key in _PLUGINS:
                self._read_plugin(key, value, parent=name)

    def _add(self, node: Node, entry: Entry) -> str:
        """Keep a node whose name is still free; give the name."""
        if not node.name or not node.name.isprintable():
            entry.name_place.refuse(f"found {node.name!r}, which is no name")
        if node.name in self.found.named:
            first = line_of(self.found.named[node.name])
            entry.name_place.refuse(
                f'the name "{node.name}" is used twice, first on line {first}',
                hint="names are unique over all plugins",
            )
        self.found.named[node.name] = entry.name_place
        self.found.based[node.name] = entry.fields.get("base", entry.value)
        self.found.nodes.append(node)
        return node.name

    def _read_local_loop(self, entry: Entry) -> str:
        if entry.parent is not None:
            entry.value.refuse("a disk stands on nothing", hint="begin an entry of its own")
        size = entry.fields.get("size")
        directory = entry.fields.get("directory")
        node = LocalLoop(
            name=entry.required("name").as_written(),
            size_bytes=read_size(size) if size else None,
            directory=directory.text() if directory else None,
            block_size=self._block_size(entry.fields.get("block_size")),
        )
        return self._add(node, entry)

    def _block_size(self, value: YamlValue | None) -> int:
        if self.defaults.block_size is not None:
            if self.defaults.block_size not in _SECTOR_SIZES:
                raise UsageError(
                    f"DIB_BLOCK_SIZE is {self.defaults.block_size}, but a sector has 512 or 4096 "
                    "bytes"
                )
            return self.defaults.block_size
        if value is None:
            return _SECTOR_SIZES[0]
        return read_choice(value, {str(size): size for size in _SECTOR_SIZES})

    def _read_partitioning(self, entry: Entry) -> str:
        base = entry.base()
        label_value = entry.required("label")
        label = read_choice(label_value, {label.value: label for label in TableLabel})
        align = MIB
        if "align" in entry.fields and label is TableLabel.MBR:
            align = read_alignment(entry.fields["align"])
        partitions = tuple(
            self._read_partition(item, base, label, entry)
            for item in entry.required("partitions").items()
        )
        for table in self.found.tables:
            if table.base == base:
                entry.value.refuse(f'the disk "{base}" has a partition table already')
        self.found.tables.append(
            Partitioning(base=base, label=label, align_bytes=align, partitions=partitions)
        )
        check_table(self.found.tables[-1], label=label_value, named=self.found.named)
        return entry.name(base)

    def _read_partition(
        self, item: YamlValue, base: str, label: TableLabel, table: Entry
    ) -> Partition:
        fields = item.fields((*_PARTITION_KEYS, *_PLUGINS))
        entry = Entry("partition", item, fields, base)
        # A base of its own says nothing: a partition stands on the disk of its table, as in DIB.
        entry.fields["base"] = table.fields.get("base", table.value)
        name = entry.required("name").as_written()
        if label is TableLabel.GPT and len(name.encode("utf-16-le")) // 2 > _GPT_NAME:
            entry.name_place.refuse(f'"{name}" is longer than the {_GPT_NAME} characters of gpt')
        flags = [
            read_choice(flag, {"boot": "boot", "primary": "primary"})
            for flag in (fields["flags"].items() if "flags" in fields else ())
        ]
        if label is TableLabel.GPT and "primary" in flags:
            fields["flags"].refuse(
                'the flag "primary" is for mbr only', hint="gpt knows no other partitions"
            )
        size = entry.required("size")
        share = read_share(size) if is_share(size.as_written()) else None
        size_bytes = None if share is not None else read_size(size)
        least = MIB if label is TableLabel.GPT else self._sector_size(base)
        if size_bytes is not None and size_bytes < least:
            size.refuse(f'found "{size.as_written()}", less than {human_bytes(least)}')
        partition = Partition(
            name=name,
            base=base,
            size_bytes=size_bytes,
            share=share,
            boot="boot" in flags and label is TableLabel.MBR,
            primary="primary" in flags,
            type=read_partition_type(fields.get("type"), label),
        )
        self._add(partition, entry)
        self._read_inner(fields, name)
        return partition

    def _sector_size(self, disk: str) -> int:
        for node in self.found.nodes:
            if isinstance(node, LocalLoop) and node.name == disk:
                return node.block_size
        return _SECTOR_SIZES[0]

    def _read_lvm(self, entry: Entry) -> str:
        for item in entry.required("pvs").items():
            part = Entry("pvs", item, item.fields(_PV_KEYS), None)
            self._add(
                PhysicalVolume(
                    name=part.required("name").as_written(),
                    base=part.required("base").as_written(),
                    options=part.options(),
                ),
                part,
            )
        for item in entry.required("vgs").items():
            part = Entry("vgs", item, item.fields(_PV_KEYS), None)
            base = part.required("base")
            if not base.is_list:
                base.refuse("expected a list of physical volumes", hint='as in ["pv"]')
            group = VolumeGroup(
                name=read_lvm_name(part.required("name")),
                bases=tuple(volume.as_written() for volume in base.items()),
                options=part.options(),
            )
            if not group.bases:
                base.refuse("names no physical volume")
            self._add(group, part)
        for item in entry.required("lvs").items():
            self._read_logical_volume(Entry("lvs", item, item.fields(_LV_KEYS), None))
        base_value = entry.fields.get("base")
        if "name" not in entry.fields and base_value is not None and base_value.is_list:
            entry.value.refuse('lacks the key "name"')
        return entry.name("" if base_value is None or base_value.is_list else entry.base())

    def _read_logical_volume(self, entry: Entry) -> None:
        fields = entry.fields
        if ("size" in fields) == ("extents" in fields):
            entry.value.refuse('needs either "size" or "extents"')
        kind = None
        if "type" in fields:
            kind = read_choice(fields["type"], {thin.value: thin for thin in ThinType})
        if (kind is ThinType.THIN) != ("thin-pool" in fields):
            entry.value.refuse(
                'a volume in a thin pool has both "type: thin" and "thin-pool", any other neither'
            )
        if kind is ThinType.THIN and "size" not in fields:
            fields["extents"].refuse('a thin volume has a "size", not extents')
        size_bytes = read_size(fields["size"]) if "size" in fields else None
        if size_bytes is not None and size_bytes < EXTENT_BYTES:
            fields["size"].refuse(f"is less than one extent of {at_least_mib(EXTENT_BYTES)}")
        node = LogicalVolume(
            name=read_lvm_name(entry.required("name")),
            base=entry.required("base").as_written(),
            size_bytes=size_bytes,
            extents=read_extents(fields["extents"]) if "extents" in fields else None,
            type=kind,
            thin_pool=fields["thin-pool"].as_written() if "thin-pool" in fields else None,
            options=entry.options(),
        )
        self._add(node, entry)

    def _read_mkfs(self, entry: Entry) -> str:
        base = entry.base()
        name = entry.name(base)
        root = name == ROOT_FILESYSTEM
        if "type" in entry.fields:
            fstype = read_filesystem_type(entry.fields["type"])
        elif root:
            fstype = self.defaults.root_fstype
            if fstype not in LABEL_LIMITS:
                raise UsageError(
                    f'FS_TYPE is "{fstype}", a filesystem that is not known',
                    hint=f"known are {', '.join(LABEL_LIMITS)}",
                )
        else:
            entry.value.refuse(
                'lacks the key "type"',
                hint=f'only "{ROOT_FILESYSTEM}" takes its type from FS_TYPE',
            )
        uuid = entry.fields.get("uuid")
        options = self.defaults.root_options if root else ()
        if "opts" in entry.fields:
            options = tuple(entry.fields["opts"].text().split())
        node = Mkfs(
            name=name,
            base=base,
            fstype=fstype,
            label=self._label(entry, name, fstype),
            options=options,
            uuid=read_uuid(uuid, fstype) if uuid else None,
        )
        return self._add(node, entry)

    def _label(self, entry: Entry, name: str, fstype: str) -> str:
        """Give the label of a filesystem: checked, and its own alone."""
        value = entry.fields.get("label")
        label = name
        hint = 'give one with the key "label"'
        if value is not None:
            label = value.as_written()
            hint = ""
        elif name == ROOT_FILESYSTEM:
            usual = DEFAULT_ROOT_LABEL_XFS if fstype == "xfs" else DEFAULT_ROOT_LABEL
            label = self.defaults.root_label or usual
            hint = "give one with --root-label (ROOT_LABEL)"
        place = value or entry.value
        label = stored_label(fstype, label)
        try:
            check_label(fstype, label)
        except UsageError as error:
            place.refuse(error.message, hint=hint or error.hint)
        if label in self.labels:
            first = line_of(self.labels[label])
            place.refuse(
                f'label "{label}" is used more than once, first on line {first}',
                hint="fstab finds filesystems by their labels",
            )
        self.labels[label] = place
        return label

    def _read_mount(self, entry: Entry) -> str:
        base = entry.base()
        value = entry.required("mount_point")
        point = value.text()
        normal = point.startswith("/") and not point.startswith("//")
        if point != NOT_MOUNTED and not (normal and posixpath.normpath(point) == point):
            value.refuse(
                f'found "{point}", expected a plain absolute path, or "{NOT_MOUNTED}" for swap'
            )
        name = entry.name(base)
        self.found.pointed[name] = value
        return self._add(Mount(name=name, base=base, mount_point=point), entry)

    def _read_fstab(self, entry: Entry) -> str:
        base = entry.base()
        options = entry.fields.get("options")
        text = options.as_written() if options else "defaults"
        if options and (not text or text.split() != [text]):
            options.refuse(f'found "{text}", expected options of mount(8) without blanks')
        node = Fstab(
            name=entry.name(base),
            base=base,
            options=text,
            dump_frequency=entry.count("dump-freq", 0),
            fsck_pass=entry.count("fsck-passno", 2),
        )
        return self._add(node, entry)
