"""Values of a YAML file that know their line, so that a refusal can name it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import yaml

from dibflow.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_TAG = "tag:yaml.org,2002:"
_KINDS = {
    "seq": "a list",
    "map": "a mapping",
    "null": "nothing",
    "str": "the text",
    "int": "the number",
    "float": "the number",
    "bool": "the boolean",
    "timestamp": "the date",
}
_QUOTABLE = frozenset(("int", "float", "bool", "timestamp"))


@dataclass(frozen=True, slots=True)
class YamlValue:
    """One value, the file it stands in and the dotted key that leads to it ("" at the top).

    Each reading method gives a plain value of one type or raises DefinitionError, whose message
    starts with ``file:line:``. Nothing is converted: a number is no string.
    """

    node: yaml.Node
    path: Path
    key: str = ""

    @property
    def place(self) -> str:
        """Give ``file:line``."""
        return f"{self.path}:{self.node.start_mark.line + 1}"

    @property
    def is_list(self) -> bool:
        """Tell whether this is a list, where a file may hold one thing or several."""
        return isinstance(self.node, yaml.SequenceNode)

    def refuse(self, problem: str, *, hint: str = "") -> NoReturn:
        """Raise DefinitionError: `problem`, after the place and the key."""
        where = f'key "{self.key}": ' if self.key else ""
        raise DefinitionError(f"{self.place}: {where}{problem}", hint=hint)

    def text(self) -> str:
        """Read a string."""
        if self._kind != "str":
            hint = f'quote it: "{self.node.value}"' if self._kind in _QUOTABLE else ""
            self._refuse_kind("a string", hint=hint)
        return str(self.node.value)

    def as_written(self) -> str:
        """Read a string or a number as its text in the file: ``0x83`` stays ``0x83``."""
        if self._kind not in {"str", "int", "float"}:
            self._refuse_kind("a string or a number")
        return str(self.node.value)

    def boolean(self) -> bool:
        """Read a boolean, in any spelling of YAML 1.1 (``true``, ``yes``, ``on``)."""
        spelling = str(self.node.value).lower()
        if self._kind != "bool" or spelling not in yaml.SafeLoader.bool_values:
            self._refuse_kind("true or false")
        return yaml.SafeLoader.bool_values[spelling]

    def integer(self) -> int:
        """Read a whole number."""
        if not isinstance(self.node, yaml.ScalarNode) or self._kind != "int":
            self._refuse_kind("a whole number")
        try:
            # YAML 1.1 has hexadecimal, octal, binary and sexagesimal forms.
            return int(yaml.constructor.SafeConstructor().construct_yaml_int(self.node))
        except ValueError:  # an explicit !!int before something else, or thousands of digits
            self._refuse_kind("a whole number")

    def number(self) -> float:
        """Read a number, whole or with a fraction."""
        if self._kind == "int":
            return self.integer()
        if not isinstance(self.node, yaml.ScalarNode) or self._kind != "float":
            self._refuse_kind("a number")
        try:
            return float(yaml.constructor.SafeConstructor().construct_yaml_float(self.node))
        except ValueError:  # an explicit !!float before something else
            self._refuse_kind("a number")

    def items(self) -> tuple[YamlValue, ...]:
        """Read a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self._refuse_kind("a list")
        return tuple(YamlValue(node, self.path, self.key) for node in self.node.value)

    def texts(self) -> tuple[str, ...]:
        """Read a list of strings."""
        if not isinstance(self.node, yaml.SequenceNode):
            self._refuse_kind("a list of strings")
        return tuple(item.text() for item in self.items())

    def mapping(self) -> dict[str, YamlValue]:
        """Read a mapping with any string keys, in the file's order; a key given twice is refused.

        Merge keys (``<<``) work as YAML defines them: own keys win, then earlier mappings.
        """
        return self._mapping(())

    def fields(self, known: Sequence[str]) -> dict[str, YamlValue]:
        """Read a mapping that has no keys but those of `known`."""
        fields = self._mapping(())
        for key, value in fields.items():
            if key not in known:
                close = did_you_mean(key, known)
                value.refuse("is not known here", hint=close or f"known are {', '.join(known)}")
        return fields

    @property
    def _kind(self) -> str:
        return self.node.tag.removeprefix(_TAG)

    def _refuse_kind(self, expected: str, *, hint: str = "") -> NoReturn:
        found = _KINDS.get(self._kind, f'a value tagged "{self.node.tag}"')
        if self._kind in _KINDS and isinstance(self.node, yaml.ScalarNode) and self.node.value:
            found += f' "{self.node.value}"' if self._kind != "null" else ""
        self.refuse(f"found {found}, expected {expected}", hint=hint)

    def _mapping(self, merging: tuple[yaml.Node, ...]) -> dict[str, YamlValue]:
        if not isinstance(self.node, yaml.MappingNode):
            self._refuse_kind("a mapping")
        own: dict[str, YamlValue] = {}
        merged: dict[str, YamlValue] = {}
        for key_node, value_node in self.node.value:
            key = YamlValue(key_node, self.path, self.key)
            if key._kind == "merge":
                for source in YamlValue(value_node, self.path, self.key)._merge_sources():
                    if any(source.node is node for node in (*merging, self.node)):
                        key.refuse("found a mapping that merges itself, expected another mapping")
                    merged = source._mapping((*merging, self.node)) | merged
                continue
            name = key.text()
            dotted = f"{self.key}.{name}" if self.key else name
            if name in own:
                first = own[name].node.start_mark.line + 1
                YamlValue(key_node, self.path, dotted).refuse(
                    f"is given twice, first on line {first}", hint="keep one of them"
                )
            own[name] = YamlValue(value_node, self.path, dotted)
        return merged | own

    def _merge_sources(self) -> Iterator[YamlValue]:
        if isinstance(self.node, yaml.SequenceNode):
            yield from self.items()
        else:
            yield self


def read_yaml(path: Path) -> YamlValue | None:
    """Read the one document of a file; None if it holds nothing.

    Raises DefinitionError, in one line, for a file that cannot be read or is no YAML.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_yaml(content, path)


def parse_yaml(content: bytes, path: Path) -> YamlValue | None:
    """Read the one document of `content` as `read_yaml` does; `path` is what messages name."""
    try:
        # Not CSafeLoader: it is ten times as fast, but deep nesting kills the process.
        node = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = content[: error.position].count(b"\n") + 1
        raise DefinitionError(f"{path}:{line}: broken YAML: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise DefinitionError(f"{path}:{line}: broken YAML: {problem}") from error
    except RecursionError as error:
        raise DefinitionError(f"{path}: broken YAML: nested too deeply") from error
    return None if node is None else YamlValue(node, path)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give the hint that names the closest of `known`, or nothing if none is close."""
    close = difflib.get_close_matches(name, known, n=1)
    return f'did you mean "{close[0]}"?' if close else ""
