"""Graphs as text for drawing programs: Graphviz's language, and Mermaid's."""

from __future__ import annotations

from dataclasses import dataclass, field

from functrans.core.program import Literal, Program, Var, programs_in


@dataclass
class Graph:
    """Nodes with labels, and arrows between them with labels.

    Attributes:
        nodes: id → (label, whether it is a value that comes in or goes out).
        edges: (from, to, label).
    """

    nodes: dict[str, tuple[str, bool]] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)

    def dot(self) -> str:
        """Text for `dot -Tsvg`."""
        lines = ["digraph {", '  node [shape=box, fontname="monospace", fontsize=10];']
        for name, (label, outer) in self.nodes.items():
            shape = ", shape=ellipse" if outer else ""
            lines.append(f"  {name} [label={_quoted(label)}{shape}];")
        for start, end, label in self.edges:
            lines.append(f"  {start} -> {end} [label={_quoted(label)}, fontsize=9];")
        return "\n".join([*lines, "}"])

    def mermaid(self) -> str:
        """Text that GitHub and many editors draw."""
        lines = ["flowchart TD"]
        for name, (label, outer) in self.nodes.items():
            left, right = ("([", "])") if outer else ("[", "]")
            lines.append(f"  {name}{left}{_escaped(label)}{right}")
        for start, end, label in self.edges:
            lines.append(f"  {start} -->|{_escaped(label)}| {end}")
        return "\n".join(lines)


def program_graph(program: Program) -> Graph:
    """Equations as nodes, variables as arrows; of Programs inside only their sizes."""
    graph = Graph()
    made: dict[Var, str] = {}
    for i, var in enumerate(program.inputs):
        made[var] = f"in{i}"
        graph.nodes[f"in{i}"] = (f"input {i}", True)
    for i, equation in enumerate(program.equations):
        inside = "".join(
            f"\n({len(p.equations)} equations inside)" for p in programs_in(equation.params)
        )
        source = f"\n{equation.source}" if equation.source else ""
        graph.nodes[f"e{i}"] = (f"{equation.primitive.name}{inside}{source}", False)
        for atom in equation.inputs:
            if isinstance(atom, Var):
                graph.edges.append((made[atom], f"e{i}", str(atom.aval)))
        made.update(dict.fromkeys(equation.outputs, f"e{i}"))
    for i, atom in enumerate(program.outputs):
        graph.nodes[f"out{i}"] = (f"output {i}", True)
        if isinstance(atom, Literal):
            graph.nodes[f"c{i}"] = (repr(atom), True)
        start = f"c{i}" if isinstance(atom, Literal) else made[atom]
        graph.edges.append((start, f"out{i}", str(atom.aval)))
    return graph


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _escaped(text: str) -> str:
    return '"' + text.replace('"', "#quot;").replace("\n", "<br/>") + '"'
