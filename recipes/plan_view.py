"""Pruning as the terminal shows it: plans, reports and checks."""

from collections.abc import Sequence

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from compress.prune import GroupWidth, PrunePlan, PruneReport
from compress.verify import GroupCheck
from compress.widths import multiples
from recipes.plain_table import plain_table
from recipes.planning import PlannedStep


def show_plan(console: Console, planned: PlannedStep) -> None:
    """One step: its label, and for pruning the widths, what is protected, and what is predicted."""
    console.print(Text(f"  {planned.label}", style="bold"))
    if planned.note:
        console.print(Text(f"  {planned.note}", style="yellow"))
    if planned.plan is not None:
        console.print(Group(widths_table(planned.plan.rows()), *_lines(planned.plan, planned.latency_ms)))


def show_report(console: Console, report: PruneReport) -> None:
    """What was pruned: the widths, what is protected, what was asked and achieved."""
    console.print(widths_table(report.widths))
    for name, reason in report.protected.items():
        console.print(Text(f"protected: {name}: {reason}"))
    for what, cut in report.achieved.items():
        asked = f", asked {report.asked[what]:.1%}" if what in report.asked else ""
        console.print(Text(f"{what}: {cut:.1%}{asked}"))
    measured = report.measured or {}
    if "latency_ms" in measured:
        whole, pruned = float(measured["unpruned_latency_ms"]), float(measured["latency_ms"])
        noise = f", noisy: {measured['noise']}" if "noise" in measured else ""
        console.print(Text(f"latency by the clock: {whole:.1f} to {pruned:.1f} ms ({measured['runtime']}{noise})"))
    elif measured:
        console.print(Text(f"latency not measured: {measured['missing']}", style="yellow"))


def widths_table(rows: Sequence[GroupWidth]) -> Table:
    """Every group: its channels before, as asked for, and after."""
    table = plain_table("group", "channels", "asked", "after", "kept")
    for row in rows:
        kept = f"{row.after / row.before:.0%}"
        table.add_row(row.name, str(row.before), f"{row.asked:.1f}", str(row.after), kept)
    return table


def checks_table(checks: Sequence[GroupCheck]) -> Table:
    """Every group: the relative error of removing its channels, or why it is protected."""
    table = plain_table("group", "channels", "layers with it", "relative error")
    table.add_column("protected because", overflow="fold")
    for check in checks:
        error = "" if check.relative_error is None else f"{check.relative_error:.1e}"
        layers = str(len(check.with_layers))
        table.add_row(check.name, str(check.channels), layers, error, check.protected_because or "")
    return table


def _lines(planned: PrunePlan, latency_ms: tuple[float, float] | None) -> list[Text]:
    said = [f"protected: {name}: {reason}" for name, reason in planned.surveyed.protected.items()]
    said.append(f"widths are {multiples(planned.multiple)}")
    for what in ("params", "macs"):
        before, after = planned.unpruned[what], planned.predicted[what]
        said.append(f"predicted {what}: {before:,.0f} to {after:,.0f} ({_change(before, after)})")
    uncounted = planned.surveyed.priced.uncounted
    said.append(
        f"not counted as macs: {', '.join(f'{name} x{n}' for name, n in sorted(uncounted.items())) or 'nothing'}"
    )
    if latency_ms is not None:
        before, after = latency_ms
        change = _change(before, after)
        said.append(f"predicted latency: {before:.1f} to {after:.1f} ms ({change}), by timed layers on this machine")
    return [Text(f"  {line}") for line in said]


def _change(before: float, after: float) -> str:
    return f"{after / before - 1:+.1%}"
