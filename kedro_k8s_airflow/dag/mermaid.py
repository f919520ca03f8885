"""Plans as Mermaid flowcharts: a box for each task with its nodes, a frame for each task group, an arrow for each dependency.

Mermaid refuses more than 50,000 characters and 500 arrows. A page may raise these limits (`maxTextSize`, `maxEdges`), but a diagram
may not: https://mermaid.js.org/config/schema-docs/config.html. A larger plan is drawn by its namespaces or steps.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from kedro_k8s_airflow.plan.sections import split_by_namespace, split_by_step
from kedro_k8s_airflow.plan.statistics import compute_plan_statistics
from kedro_k8s_airflow.text import count_of, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kedro_k8s_airflow.plan.model import Plan, Task
    from kedro_k8s_airflow.plan.sections import PlanSection
    from kedro_k8s_airflow.plan.statistics import PlanStatistics

MAX_CHARACTERS = 50_000
MAX_ARROWS = 500
_MAX_PLANS = 100
_NODES_SHOWN = 3
# Letters and digits, and some characters between two of them, have no meaning in Mermaid, in the Markdown of its labels or in
# HTML. Any other character may have one. An address that begins with www becomes a link.
_SPECIAL_CHARACTER = re.compile(
    r"[^\W_]|[^\x00-\x7f]|(?<=[A-Za-z0-9])((?<![wW]{3})[.-]|_+)(?=[A-Za-z0-9])|(?<=\S) (?=\S)|(?P<sign>.)", re.DOTALL
)

# $ * _ ` ~, the colon of an icon (fa:fa-car), the backslash of a line break.
_INTERPRETED_ENTITY = re.compile("#(36|42|95|96|126);|#58;(?=fa)|#92;(?=n)")


def draw_plans(plans: Sequence[Plan]) -> str:
    """Return one flowchart of all plans, each in its own frame if there are several."""
    plans_and_statistics = [(plan, compute_plan_statistics(plan)) for plan in plans]
    for draw in (_draw_tasks, _draw_namespaces, _draw_steps):
        canvas = _Canvas()
        for plan, statistics in plans_and_statistics:
            with canvas.frame(plan.dag_id if len(plans) > 1 else None):
                draw(canvas, plan, statistics)
        if len(canvas.text) <= MAX_CHARACTERS and canvas.arrows <= MAX_ARROWS:
            return canvas.text
    return _draw_plan_boxes(plans_and_statistics)


def _draw_plan_boxes(plans_and_statistics: Sequence[tuple[Plan, PlanStatistics]]) -> str:
    """Draw each plan as one box, for plans whose steps exceed Mermaid's limits."""
    canvas = _Canvas()
    for plan, statistics in plans_and_statistics[:_MAX_PLANS]:
        canvas.box([plan.dag_id, f"{count_of(len(plan.tasks), 'task')} in {count_of(len(statistics.steps), 'step')}"])
    if len(plans_and_statistics) > _MAX_PLANS:
        canvas.note(f"and {len(plans_and_statistics) - _MAX_PLANS:,} more; use --pipeline to draw one of them")
    else:
        canvas.note("too many tasks for one picture; use --pipeline to draw one of these")
    return canvas.text


class _Canvas:
    """The lines of a flowchart. Boxes and frames are numbered, because names are not valid identifiers."""

    def __init__(self) -> None:
        self.lines = ["flowchart LR"]
        self.depth = 1
        self.boxes = self.frames = self.arrows = 0

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def _line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    @contextmanager
    def frame(self, title: str | None) -> Iterator[None]:
        """Put what is drawn inside the context into a frame with this title; without a title, draw no frame."""
        if title is None:
            yield
            return
        self._line(f'subgraph g{self.frames}["{_escape(printable(title))}"]')
        self.frames += 1
        self.depth += 1
        yield
        self.depth -= 1
        self._line("end")

    def box(self, lines: Iterable[str]) -> str:
        """Draw a box with these lines, the first of several in bold, and return its identifier."""
        name = f"t{self.boxes}"
        first, *rest = map(_escape, lines)
        head = f"<b>{first}</b>" if rest else first
        self._line(f'{name}["{"<br/>".join((head, *rest))}"]')
        self.boxes += 1
        return name

    def arrow(self, first: str, second: str) -> None:
        self._line(f"{first} --> {second}")
        self.arrows += 1

    def note(self, text: str) -> None:
        """Draw a note in a box without arrows."""
        name = self.box([text])
        self._line(f"style {name} stroke-dasharray: 4")


def _escape(name: str) -> str:
    """Escape a name so that it is drawn unchanged: characters with a meaning become numeric entities.

    Mermaid 10 to 12 interpret some entities too, in labels with several lines: formulas between dollars, Markdown's emphasis, icons
    and line breaks. A zero-width space after their characters prevents it.
    """
    numbered = _SPECIAL_CHARACTER.sub(lambda found: f"#{ord(found['sign'])};" if found["sign"] else found[0], name)
    return _INTERPRETED_ENTITY.sub(lambda found: f"{found[0]}#65279;", numbered)


def _draw_tasks(canvas: _Canvas, plan: Plan, _statistics: PlanStatistics) -> None:
    members: dict[str | None, list[Task]] = {}
    for task in plan.tasks:
        members.setdefault(task.group, []).append(task)
    names: dict[str, str] = {}
    for group, tasks in members.items():
        with canvas.frame(None if group is None else plan.groups[group]):
            for task in tasks:
                names[task.id] = canvas.box(_task_label_lines(task))
    for task in plan.tasks:
        for other in task.upstream:
            canvas.arrow(names[other], names[task.id])


def _task_label_lines(task: Task) -> Iterable[str]:
    """Yield the task's id and its nodes; a single node is left out if the task is named after it."""
    yield one_line(task.id)
    if task.nodes == (task.id,):
        return
    shown = task.nodes[: _NODES_SHOWN if len(task.nodes) > _NODES_SHOWN + 1 else _NODES_SHOWN + 1]
    yield from map(printable, shown)
    if len(task.nodes) > len(shown):
        yield f"and {len(task.nodes) - len(shown):,} more"


def _draw_namespaces(canvas: _Canvas, plan: Plan, statistics: PlanStatistics) -> None:
    sections = split_by_namespace(plan, statistics)
    if not sections:
        _draw_steps(canvas, plan, statistics)
        return
    names = _draw_section_boxes(canvas, sections)
    section_of = {task.id: index for index, part in enumerate(sections) for task in part.tasks}
    waits = {(section_of[other], section_of[task.id]) for task in plan.tasks for other in task.upstream}
    for first, second in sorted(waits):
        if first != second:
            canvas.arrow(names[first], names[second])
    canvas.note(_describe_reduction(plan))


def _draw_steps(canvas: _Canvas, plan: Plan, statistics: PlanStatistics) -> None:
    """Draw each section after the previous one; none of its tasks could start earlier."""
    names = _draw_section_boxes(canvas, split_by_step(statistics))
    for first, second in pairwise(names):
        canvas.arrow(first, second)
    canvas.note(_describe_reduction(plan))


def _draw_section_boxes(canvas: _Canvas, sections: Sequence[PlanSection]) -> list[str]:
    def size(part: PlanSection) -> str:
        return f"{count_of(len(part.tasks), 'task')}, {count_of(sum(len(task.nodes) for task in part.tasks), 'node')}"

    return [canvas.box((part.name, size(part))) for part in sections]


def _describe_reduction(plan: Plan) -> str:
    return f"{count_of(len(plan.tasks), 'task')}, combined because Mermaid cannot draw that many"
