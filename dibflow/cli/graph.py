"""``dibflow graph``: the graph of an image as text, for Graphviz or for Mermaid."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dibflow.blockdevice.graph import DeviceGraph
from dibflow.cli.plan import looked_at, state_of
from dibflow.cli.selection import add_options
from dibflow.engine.build import Build
from dibflow.planning.plan import Step

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_COLOURS = {"cached": "#d5f5d5", "to run": "#ffffff"}


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to those of ``dibflow``."""
    parser = subparsers.add_parser(
        "graph",
        help="print the graph of steps",
        description="Print the graph of steps: what waits for what, and what is cached.",
        epilog="example: dibflow graph debian-minimal --format dot | dot -Tsvg >image.svg",
    )
    add_options(parser)
    parser.add_argument(
        "--format", choices=("text", "dot", "mermaid"), default="text", help="default: text"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the graph of each image."""
    draw = {"text": as_text, "dot": as_dot, "mermaid": as_mermaid}[arguments.format]
    for build in looked_at(arguments):
        print("\n".join(draw(build)))
    return 0


def as_text(build: Build) -> Iterator[str]:
    """Draw the graph in generations: steps of one line wait for those above, not for each other."""
    import networkx as nx  # noqa: PLC0415 - takes a quarter of a second to load

    graph = build.plan.graph()
    for number, generation in enumerate(nx.topological_generations(graph), start=1):
        steps: list[Step] = [graph.nodes[key]["step"] for key in generation]
        named = "   ".join(f"{step.title} [{state_of(build, step)}]" for step in steps)
        yield f"{number:3}  {named}"


def edges(build: Build) -> Iterator[tuple[Step, Step]]:
    """Give who waits for whom, but for what follows from other edges."""
    import networkx as nx  # noqa: PLC0415 - see above

    for earlier, later in nx.transitive_reduction(build.plan.graph()).edges:
        yield build.plan.step(earlier), build.plan.step(later)


def as_dot(build: Build) -> Iterator[str]:
    """Draw the graph in Graphviz's language. Source: graphviz.org, "DOT Language"."""
    yield f'digraph "{_quoted(build.plan.name)}" {{'
    yield "  node [shape=box, style=filled];"
    for step in build.plan.steps:
        colour = _COLOURS[state_of(build, step)]
        label = f"{step.title}\\n{step.element}" if step.element else step.title
        yield f'  "{step.key[:12]}" [label="{_quoted(label)}", fillcolor="{colour}"];'
    for earlier, later in edges(build):
        yield f'  "{earlier.key[:12]}" -> "{later.key[:12]}";'
    yield "}"


def layout_as_dot(layout: DeviceGraph) -> Iterator[str]:
    """Draw a block-device configuration: an edge leads to what must be made later."""
    yield 'digraph "block-device" {'
    yield "  node [shape=box];"
    for node in layout.nodes:
        yield f'  "{_quoted(node.name)}" [label="{_quoted(node.name)}\\n{type(node).__name__}"];'
    for earlier, later in layout.edges():
        yield f'  "{_quoted(earlier)}" -> "{_quoted(later)}";'
    yield "}"


def _quoted(text: str) -> str:
    return text.replace('"', '\\"')


def as_mermaid(build: Build) -> Iterator[str]:
    """Draw the graph as a Mermaid flowchart. Source: mermaid.js.org, "Flowcharts"."""
    yield "flowchart TD"
    for step in build.plan.steps:
        label = f"{step.title}<br/>{step.element}" if step.element else step.title
        shape = state_of(build, step).replace(" ", "_")
        yield f'  s{step.number}["{label}"]:::{shape}'
    for earlier, later in edges(build):
        yield f"  s{earlier.number} --> s{later.number}"
    for state, colour in _COLOURS.items():
        yield f"  classDef {state.replace(' ', '_')} fill:{colour}"
