"""Ask an element's fingerprint program what its root would be made from now."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dibflow.engine.surroundings import evaluation, shown_stack
from dibflow.errors import StepError
from dibflow.planning.element import Element
from dibflow.planning.phases import Phase
from dibflow.planning.variables import TREE, HostPaths, phase_variables
from dibflow.sandbox.run import Sandbox
from dibflow.sandbox.spec import Program, SandboxSpec
from dibflow.store.store import LayerStore


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerprintAsker:
    """Runs fingerprint programs with the environment that hooks of root.d get.

    `tree_layer` is the layer of the merged hooks tree, which ``environment.d`` is taken from.
    """

    store: LayerStore
    sandbox: Sandbox
    tree_layer: str
    engine: Mapping[str, str]
    paths: HostPaths

    def ask(self, element: Element) -> str:
        """Give what the program prints. Raises StepError if it cannot tell, with what it said."""
        program = element.path / (element.meta.fingerprint or "")
        root = self.store.root
        build = self.paths.build_folder
        script = f"{evaluation(f'{build}/{TREE}')}exec {shlex.quote(str(program))} >&3"
        with self.store.stage() as staging:
            log = staging.folder / "log"
            spec = SandboxSpec(
                start=root,
                root=shown_stack(root, self.store.lowers([self.tree_layer]), staging, build),
                program=Program(
                    ("/bin/bash", "-c", script),
                    phase_variables(Phase.ROOT, self.engine, self.paths),
                ),
                log=log,
                build_folder=build,
            )
            outcome = self.sandbox.run(spec)
            said = log.read_text(errors="replace").strip()
        if outcome.status != 0 or not isinstance(outcome.data, bytes):
            last = said.splitlines()[-1] if said else "it said nothing"
            raise StepError(
                f'asking element "{element.name}" what it builds from now: {Path(program).name} '
                f"ended with status {outcome.status}: {last}",
                hint="check the network and the mirror, or build with --offline",
            )
        return outcome.data.decode(errors="replace")
