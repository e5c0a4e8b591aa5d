"""The plan of an image: its steps, in order, each with a key that says when it is the same step.

A step is one hook, one evaluation of a phase's ``environment.d``, or one act of the engine between
hooks. Steps form a directed acyclic graph: a chain up to the finished tree, then side by side one
output for each type.

The *definition key* of a step is a digest over the keys of the steps before it and its named
inputs, so it is known before anything runs. What goes in: the bytes of the hook and of the files of
the hooks tree that its text can name, the values of the environment variables that its text can
name, the element's fingerprint, an act's parameters. What stays out, on purpose: scripts of other
hooks, variables in `HOST_ONLY` (paths, user, proxies, verbosity), dates, process ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from dibflow.digest import digest_of
from dibflow.planning.phases import Phase

if TYPE_CHECKING:
    import networkx as nx

KEY_FORMAT = 2
"""Part of every key: raised whenever the engine itself would make a different layer."""


class StepKind(Enum):
    """What carries a step out."""

    HOOK = "hook"
    ENVIRONMENT = "environment"
    ACT = "act"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Names:
    """The environment variables that a step can name.

    `everything` means that its text can name any variable. `prefixes` stand for each variable that
    starts so. Variables in `HOST_ONLY` never count.
    """

    exact: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    everything: bool = False

    @staticmethod
    def union(many: Iterable[Names]) -> Names:
        """Give the names that any of `many` has."""
        every = tuple(many)
        return Names(
            exact=tuple(sorted({name for names in every for name in names.exact})),
            prefixes=tuple(sorted({prefix for names in every for prefix in names.prefixes})),
            everything=any(names.everything for names in every),
        )

    def of(self, environment: Mapping[str, str], *, without: frozenset[str]) -> dict[str, str]:
        """Give the variables of `environment` that are named, but those in `without`."""
        if self.everything:
            return {name: value for name, value in environment.items() if name not in without}
        found = {name: environment[name] for name in self.exact if name in environment}
        if self.prefixes:
            found |= {
                name: value for name, value in environment.items() if name.startswith(self.prefixes)
            }
        return {name: value for name, value in found.items() if name not in without}


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the plan.

    `after` are the definition keys of the steps it builds on; of a step with several, the first is
    the one whose layers it runs over. `waits_for` are keys of steps that only look: they must be
    done before, but what they find is in no key. `files` are pairs of path in the hooks tree and
    digest. `variables` are the named variables as they are before ``environment.d``, `names` tell
    which ones count after it.
    """

    number: int
    kind: StepKind
    phase: Phase | None
    name: str
    element: str = ""
    after: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    names: Names = Names()
    fingerprint: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    waits_for: tuple[str, ...] = ()
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", digest_of({**self._inputs(), "after": self.after}))

    def _inputs(self) -> dict[str, object]:
        return {
            "format": KEY_FORMAT,
            "kind": self.kind.value,
            "phase": self.phase.value if self.phase else "",
            "name": self.name,
            "files": self.files,
            "variables": self.variables,
            "fingerprint": self.fingerprint,
            "parameters": self.parameters,
        }

    def content_key(
        self,
        layers: Sequence[str],
        environment: Mapping[str, str],
        *,
        host_files: Callable[[Sequence[str]], tuple[tuple[str, str], ...]] = lambda _: (),
    ) -> str:
        """Give the key of this step over what it really finds: layers and evaluated variables.

        `layers` are the content ids of the stack, base first; `environment` is what the program
        will get; `host_files` are as in planning, for what ``environment.d`` may have named.
        """
        from dibflow.planning.variables import HOST_ONLY  # noqa: PLC0415 - it imports this package

        named = self.names.of(environment, without=HOST_ONLY)
        return digest_of(
            {
                **self._inputs(),
                "variables": named,
                "layers": list(layers),
                "host": host_files(list(named.values())),
            }
        )

    @property
    def needs(self) -> tuple[str, ...]:
        """The keys of all steps that must be done before."""
        return (*self.after, *self.waits_for)

    @property
    def title(self) -> str:
        """Name the step for a person: ``install.d/10-cloud-init``."""
        return f"{self.phase.directory}/{self.name}" if self.phase else self.name

    def to_json(self) -> dict[str, object]:
        """Give a JSON value that `from_json` turns back."""
        return {
            "number": self.number,
            "key": self.key,
            "kind": self.kind.value,
            "phase": self.phase.value if self.phase else None,
            "name": self.name,
            "element": self.element,
            "after": self.after,
            "files": self.files,
            "variables": self.variables,
            "names": [self.names.exact, self.names.prefixes, self.names.everything],
            "fingerprint": self.fingerprint,
            "parameters": self.parameters,
            "waits_for": self.waits_for,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Step:
        """Read what `to_json` wrote. Raises KeyError or TypeError if it is something else."""
        exact, prefixes, everything = value["names"]
        return Step(
            number=value["number"],
            kind=StepKind(value["kind"]),
            phase=Phase(value["phase"]) if value["phase"] else None,
            name=value["name"],
            element=value["element"],
            after=tuple(value["after"]),
            files=_pairs(value["files"]),
            variables=_pairs(value["variables"]),
            names=Names(tuple(exact), tuple(prefixes), everything),
            fingerprint=value["fingerprint"],
            parameters=_pairs(value["parameters"]),
            waits_for=tuple(value["waits_for"]),
        )


def _pairs(value: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((first, second) for first, second in value)


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps of one image, in the order they would run one at a time.

    `tree` is the digest of the merged hooks tree, `elements` the expanded element names, `warnings`
    what DIB would pass over in silence (a hook that is not executable, an overridden element).
    """

    name: str
    arch: str
    elements: tuple[str, ...]
    types: tuple[str, ...]
    tree: str
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()
    _by_key: dict[str, Step] = field(init=False, repr=False, compare=False)
    _acts: dict[str, Step] = field(init=False, repr=False, compare=False)
    _environments: dict[Phase | None, Step] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        acts = {step.name: step for step in self.steps if step.kind is StepKind.ACT}
        environments = {
            step.phase: step for step in self.steps if step.kind is StepKind.ENVIRONMENT
        }
        object.__setattr__(self, "_by_key", {step.key: step for step in self.steps})
        object.__setattr__(self, "_acts", acts)
        object.__setattr__(self, "_environments", environments)

    def __contains__(self, step: Step) -> bool:
        """Tell whether the plan has a step with the key of `step`."""
        return step.key in self._by_key

    def step(self, key: str) -> Step:
        """Give the step with a definition key. Raises KeyError."""
        return self._by_key[key]

    def act(self, name: str) -> Step:
        """Give an act of the engine. Raises KeyError."""
        return self._acts[name]

    def has_act(self, name: str) -> bool:
        """Tell whether the plan has an act of the engine."""
        return name in self._acts

    def environment(self, phase: Phase) -> Step:
        """Give the step that evaluates ``environment.d`` for a phase. Raises KeyError."""
        return self._environments[phase]

    def find(self, text: str) -> tuple[Step, ...]:
        """Give the steps that `text` may mean: a title, a hook, a number or the start of a key."""
        exact = [step for step in self.steps if text in {step.title, step.name, str(step.number)}]
        return tuple(exact) or tuple(step for step in self.steps if step.key.startswith(text))

    def before(self, step: Step) -> Step | None:
        """Give the step whose layers `step` runs over; None for the first."""
        return self.step(step.after[0]) if step.after else None

    @property
    def tree_steps(self) -> tuple[Step, ...]:
        """The chain that makes the image's tree, without outputs."""
        return tuple(step for step in self.steps if step.kind is not StepKind.OUTPUT)

    @property
    def outputs(self) -> tuple[Step, ...]:
        """The steps that make files for the user."""
        return tuple(step for step in self.steps if step.kind is StepKind.OUTPUT)

    def graph(self) -> nx.DiGraph[str]:
        """Give the graph: nodes are definition keys, each with its ``step``; edges run forward."""
        # Importing networkx takes a quarter of a second, a third of what a no-op build may take.
        import networkx as nx  # noqa: PLC0415

        graph: nx.DiGraph[str] = nx.DiGraph(name=self.name)
        for step in self.steps:
            graph.add_node(step.key, step=step)
            graph.add_edges_from((earlier, step.key) for earlier in step.needs)
        return graph

    def to_json(self) -> dict[str, object]:
        """Give a JSON value that `from_json` turns back."""
        return {
            "name": self.name,
            "arch": self.arch,
            "elements": self.elements,
            "types": self.types,
            "tree": self.tree,
            "steps": [step.to_json() for step in self.steps],
            "warnings": self.warnings,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Plan:
        """Read what `to_json` wrote. Raises KeyError or TypeError if it is something else."""
        return Plan(
            name=value["name"],
            arch=value["arch"],
            elements=tuple(value["elements"]),
            types=tuple(value["types"]),
            tree=value["tree"],
            steps=tuple(Step.from_json(step) for step in value["steps"]),
            warnings=tuple(value["warnings"]),
        )

    @property
    def ends(self) -> tuple[Step, ...]:
        """The steps that finish the image: its outputs, or the last of its tree if it has none."""
        return self.outputs or self.tree_steps[-1:]
