"""The environment that hooks are promised, as values.

Source: ``docs/elements.md``, "What a hook may rely on".
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from dibflow.blockdevice.graph import DeviceGraph
from dibflow.planning.element import Element
from dibflow.planning.phases import Phase
from dibflow.planning.resolve import ResolvedDefinition

TARGET_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
IN_TARGET = "/tmp/in_target.d"  # noqa: S108 - the path is part of the hooks' contract
TREE = "hooks"
TARGET = "mnt"
ARTIFACTS = "artifacts"
SCRATCH = "tmp"

ENGINE_FUNCTIONS = frozenset({"BASH_FUNC_die%%", "BASH_FUNC_get_image_element_array%%"})
"""The exported functions of the engine, as variables. One holds the elements of this very image."""

HOST_ONLY = ENGINE_FUNCTIONS | frozenset(
    {
        # where things are on this machine
        *("_LIB", "DIB_PYTHON_EXEC", "DIB_IMAGE_CACHE", "DIB_LOCKFILES", "ELEMENTS_PATH"),
        *("IMAGE_ELEMENT_YAML", "TMP_BUILD_DIR", "TMP_IMAGE_DIR", "TMP_HOOKS_PATH"),
        *("TMP_MOUNT_PATH", "TARGET_ROOT", "DIB_BLOCK_DEVICE_PARAMS_YAML", "TMP_DIR", "TMPDIR"),
        *("IMAGE_BLOCK_DEVICE", "IMAGE_BLOCK_DEVICES"),
        *("HOME", "PATH", "PWD", "OLDPWD", "DIBFLOW_STORE", "VIRTUAL_ENV"),
        # who builds, and from which terminal
        *("USER", "LOGNAME", "SHELL", "SHLVL", "TERM", "HOSTNAME", "HOST", "_", "COLUMNS", "LINES"),
        *("SUDO_USER", "SUDO_UID", "SUDO_GID", "SUDO_COMMAND", "UID", "EUID", "PPID"),
        # how the network is reached
        *("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"),
        *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "DIB_OFFLINE"),
        # how much is said, and where it is kept meanwhile
        *("DIB_DEBUG_TRACE", "DIB_QUIET", "DIB_NO_TIMESTAMP", "DIB_NO_TMPFS", "DIB_MIN_TMPFS"),
        *("LOGFILE", "DIB_SHOW_IMAGE_USAGE", "DIB_SHOW_IMAGE_USAGE_FULL", "DUMP_CONFIG_GRAPH"),
        # where a person wants to look in; "break" is a word of every other script
        *("break", "break_cmd", "break_outside_target"),
    }
)
"""Variables that never enter a key: they say where, by whom and how loudly an image is built.

Which elements there are counts by itself, where a hook asks for them.
"""

OF_CALLER = frozenset(
    {
        *("HOME", "PATH", "USER", "LOGNAME", "SHELL", "DIB_OFFLINE", "DIB_IMAGE_CACHE"),
        *("SUDO_USER", "SUDO_UID", "SUDO_GID", "SUDO_COMMAND", "DIB_LOCKFILES", "ELEMENTS_PATH"),
        *("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"),
        *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"),
    }
)
"""Those of `HOST_ONLY` that differ between callers on one machine.

What ``environment.d`` makes of one is recorded, and handed to hooks under another name: so each
that it can name is among the parameters of its evaluation.
"""

_CHROOT_REMOVED = (
    *("TMPDIR", "VIRTUAL_ENV", "PS4", "ENV", "BASH_ENV", "IFS", "PYTHONPATH", "PYTHONHOME"),
    *("PERL5LIB", "PERLLIB", "PERL5OPT", "RUBYLIB", "RUBYOPT", "CDPATH", "GLOBIGNORE", "SHELLOPTS"),
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "TERMINFO", "TERMCAP"),
)
"""What does not pass into the target: the caller's interpreters and shells are not the image's.

Source: sudoers(5), "Command environment"; DIB enters the target through sudo.
"""


@dataclass(frozen=True, slots=True)
class HostPaths:
    """Where this machine keeps what hooks ask for.

    `build_folder` is the same on each machine, the rest is the caller's. `image_cache` and
    `lock_files` must exist before a hook runs.
    """

    build_folder: str
    library: str
    python: str
    image_cache: str
    lock_files: str
    elements_path: str
    tools: str


def dib_arguments(definition: ResolvedDefinition) -> str:
    """Give the command line of DIB that asks for the same image: the value of ``DIB_ARGS``."""
    words = ["-a", definition.arch, "-o", definition.name, "-t", ",".join(definition.types)]
    if definition.skip_base:
        words.append("-n")
    if definition.packages:
        words += ["-p", ",".join(definition.packages)]
    return shlex.join([*words, *definition.elements])


def engine_variables(
    definition: ResolvedDefinition,
    elements: Sequence[Element],
    user: Mapping[str, str],
    paths: HostPaths,
    *,
    layout: DeviceGraph,
) -> Mapping[str, str]:
    """Give the user's environment with what the engine exports from the first phase on."""
    names = sorted(element.name for element in elements)
    folders = {element.name: str(element.path) for element in elements}
    array = " ".join(f"[{name}]={folders[name]}" for name in names)
    environment = dict(user)
    environment.update(definition.environment)
    environment.update(
        {
            "ARCH": definition.arch,
            "DIB_ARGS": user.get("DIB_ARGS") or dib_arguments(definition),
            "DIB_BOOT_LABEL": layout.boot_label,
            "DIB_MOUNTPOINTS": "|".join(layout.mount_points),
            "DIB_ROOT_FSTYPE": layout.root_fstype,
            "DIB_ROOT_LABEL": layout.root_label,
            "DIB_BLOCK_DEVICE_PARAMS_YAML": f"{paths.build_folder}/block-device/params.yaml",
            "DIB_IMAGE_CACHE": paths.image_cache,
            "DIB_LOCKFILES": paths.lock_files,
            "DIB_OFFLINE": "1" if definition.offline else "",
            "DIB_PYTHON_EXEC": paths.python,
            "ELEMENTS_PATH": paths.elements_path,
            "IMAGE_ELEMENT": " ".join(names),
            "IMAGE_ELEMENT_YAML": "".join(f"{name}: {folders[name]}\n" for name in names),
            "IMAGE_NAME": f"{paths.build_folder}/{ARTIFACTS}/{definition.name.rsplit('/', 1)[-1]}",
            "LC_ALL": "C",
            "OUT_IMAGE_PATH": "",
            "TMP_BUILD_DIR": paths.build_folder,
            "TMP_HOOKS_PATH": f"{paths.build_folder}/{TREE}",
            "TMP_IMAGE_DIR": f"{paths.build_folder}/image",
            "TMP_MOUNT_PATH": f"{paths.build_folder}/{TARGET}",
            "_LIB": paths.library,
            "BASH_FUNC_die%%": _DIE,
            "BASH_FUNC_get_image_element_array%%": f'() {{ echo "{array} "; }}',
        }
    )
    filesystem = environment.get("FS_TYPE") or "ext4"
    for name, value in _defaults(definition, filesystem).items():
        environment.setdefault(name, value)
    environment.update(_of_options(definition))
    environment["DIB_DEBUG_TRACE"] = str(definition.debug_trace)
    environment["DIB_ENV"] = _declarations(environment)
    return MappingProxyType(environment)


def _defaults(definition: ResolvedDefinition, filesystem: str) -> dict[str, str]:
    values = {
        "DIB_CHECKSUM": "0",
        "DIB_MIN_TMPFS": "2",
        "DIB_NO_TMPFS": "0",
        "FS_TYPE": filesystem,
        "IMAGE_TYPE": "qcow2",
    }
    if definition.image_size_gib is not None:
        values["DIB_IMAGE_SIZE"] = f"{definition.image_size_gib:g}"
    return values


def _of_options(definition: ResolvedDefinition) -> dict[str, str]:
    """Give the variables that DIB exports for options that were given."""
    values: dict[str, object] = {
        "SKIP_BASE": "1" if definition.skip_base else None,
        "DIB_CHECKSUM": "1" if definition.checksum else None,
        "COMPRESS_IMAGE": "" if definition.uncompressed else None,
        "DIB_NO_TMPFS": "1" if definition.no_tmpfs else None,
        "DIB_MIN_TMPFS": definition.min_tmpfs_gib,
        "DIB_IMAGE_EXTRA_SIZE": definition.image_extra_size_mib,
        "DIB_JOURNAL_SIZE": definition.mkfs_journal_size_mib,
        "MAX_ONLINE_RESIZE": definition.max_online_resize,
        "DOCKER_TARGET": definition.docker_target,
        "LOGFILE": definition.logfile,
        "RAMDISK_ELEMENT": definition.ramdisk_element,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


_DIE = """() {
 local status=$?;
 set +x;
 printf '%s\\n' "$*" >&2;
 exit "$(( status > 0 ? status : 1 ))"
}"""
"""The exported function ``die``: it fails even where the command before it succeeded."""


def _declarations(environment: Mapping[str, str]) -> str:
    """Give ``DIB_ENV``: the ``declare`` lines of every variable whose name starts with ``DIB_``."""
    return "\n".join(
        f"declare -x {name}={_double_quoted(value)}"
        for name, value in sorted(environment.items())
        if name.startswith("DIB_") and name not in {"DIB_ENV", *HOST_ONLY}
    )


def _double_quoted(value: str) -> str:
    for character in '\\"$`':
        value = value.replace(character, "\\" + character)
    return f'"{value}"'


def phase_variables(phase: Phase, engine: Mapping[str, str], paths: HostPaths) -> dict[str, str]:
    """Give the environment that a phase starts from, before ``environment.d``."""
    environment = dict(engine)
    target = f"{paths.build_folder}/{TARGET}"
    if phase in {Phase.ROOT, Phase.CLEANUP}:
        environment["TARGET_ROOT"] = target
    if phase.inside:
        for name in list(environment):
            if name in _CHROOT_REMOVED or environment[name].startswith("()"):
                del environment[name]
        environment.update(
            {"HOME": "/root", "PATH": TARGET_PATH, "USER": "root", "LOGNAME": "root"}
        )
        environment.update({"SHELL": "/bin/bash", "SUDO_USER": "root", "SUDO_COMMAND": "chroot"})
        environment.update({"SUDO_UID": "0", "SUDO_GID": "0"})
    else:
        environment["PATH"] = _host_path(environment.get("PATH", ""), paths.tools)
    return environment


def _host_path(path: str, tools: str) -> str:
    """Append what a caller's PATH may lack; `tools` comes last and so never hides a real one."""
    folders = [folder for folder in path.split(":") if folder]
    wanted = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin", tools)
    return ":".join([*folders, *(folder for folder in wanted if folder and folder not in folders)])
