"""Where a run stands, drawn for a terminal."""

from datetime import datetime, timedelta
from itertools import pairwise

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from recipes.live import RunState, StageState, Status, VariantState
from recipes.run_log import StageProgress
from reports.folding_text import FoldingText
from reports.table import DASH

_MARKS: dict[Status, tuple[str, str]] = {
    "done": ("✓", "green"),
    "taken": ("↺", "green"),
    "running": ("▶", "bold cyan"),
    "waiting": ("·", "dim"),
    "failed": ("✗", "bold red"),
    "stopped": ("■", "yellow"),
    "skipped": (DASH, "dim"),
}
_WORDS: dict[Status, str] = {"taken": "taken from before"}
_STOPS = {"KeyboardInterrupt": "interrupted from the keyboard"}
"""What stops a run that is no error, by the names that the log has."""
_LEVELS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 40


def live_view(state: RunState, now: datetime) -> RenderableType:
    """The run's state, what is running, and all variants."""
    return Group(_heading(state, now), *_running(state, now), _variants(state), *_notes(state))


def curve_text(curve: list[tuple[int, float]], width: int = _CURVE_WIDTH) -> str:
    """A curve as a line of at most `width` blocks, each as high as the mean of its points."""
    values = [value for _, value in curve]
    count = min(width, len(values))
    cuts = [len(values) * place // max(count, 1) for place in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(cuts)]
    low, span = min(means, default=0.0), max(means, default=0.0) - min(means, default=0.0)
    return "".join(_LEVELS[round((mean - low) / span * (len(_LEVELS) - 1)) if span else 0] for mean in means)


def clock(seconds: float) -> str:
    """A duration as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _heading(state: RunState, now: datetime) -> Text:
    """The run's name and how it is."""
    text = Text(state.name, style="bold", overflow="fold")
    if state.began is None or state.heard is None:
        return text.append(": has not begun", style="not bold")
    since = f"{_moment(state.heard)} ({_ago(now - state.heard)})"
    said, style = {
        "ended": (f"ended {_moment(state.heard)}, after {_between(state.began, state.heard)}", "green"),
        "stopped": (f"not running since {since}", "yellow"),
    }.get(state.status, (f"running for {_between(state.began, now)}", "cyan"))
    text.append(f": {said}", style=f"not bold {style}")
    if state.error:
        text.append(f"\n{_STOPS.get(state.error, state.error)}", style="not bold red")
    advice = (f"to go on, type: {state.again}" if state.again else "", state.kept)
    return text.append("".join(f"\n{line}" for line in advice if line), style="not bold")


def _running(state: RunState, now: datetime) -> list[RenderableType]:
    """What goes on right now: the stage, its progress and its losses."""
    if state.doing:
        since = f", for {_between(state.heard, now)}" if state.heard else ""
        return [Text(f"▶ {state.doing}{since}", style="cyan")]
    for variant in state.variants:
        for part in variant.parts():
            if part.status == "running":
                since = f", for {_between(part.since, now)}" if part.since else ""
                line = Text(f"▶ {variant.name}: {part.label}{since}", style="cyan", overflow="fold")
                return [line, *([] if state.progress is None else _progress(state.progress))]
    return []


def _progress(progress: StageProgress) -> list[RenderableType]:
    rate = "" if progress.per_s is None else f"{progress.per_s:.2f}/s"
    left = "" if progress.left_s is None else f"{clock(progress.left_s)} left"
    bar = Table.grid(padding=(0, 1))
    for _ in range(5):
        bar.add_column(no_wrap=True)
    done = f"{progress.done}/{progress.total}"
    bar.add_row(f"  {progress.label}", ProgressBar(progress.total, progress.done, width=24), done, rate, left)
    lines: list[RenderableType] = [bar]
    if progress.losses:
        terms = ", ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
        lines.append(Text(f"  losses: {terms}", overflow="fold"))
    if len(progress.curve) > 1:
        (first, start), *_, (last, end) = progress.curve
        lines.append(
            Text(f"  {curve_text(progress.curve)} ", style="cyan").append(
                f"{start:.4f} to {end:.4f}, steps {first} to {last}", style="not cyan"
            )
        )
    return lines


def _variants(state: RunState) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("variant", overflow="fold", ratio=1)
    table.add_column("stages", overflow="fold", ratio=3)
    table.add_column("time", justify="right", no_wrap=True)
    for variant in state.variants:
        seconds = [part.seconds for part in variant.parts() if part.seconds is not None]
        table.add_row(FoldingText(variant.name), _chips(variant), clock(sum(seconds)) if seconds else "")
    return table


def _chips(variant: VariantState) -> Text:
    return Text("  ").join(Text(f"{_MARKS[p.status][0]} {_short(p)}", _MARKS[p.status][1]) for p in variant.parts())


def _short(part: StageState) -> str:
    """A stage in a word or two; of an export, the runtime."""
    kind, *settings = part.label.replace(",", " ").split()
    if kind != "export":
        return kind
    named = settings[settings.index("runtime") + 1] if "runtime" in settings else "aoti"
    return f"{named} file"


def _notes(state: RunState) -> list[RenderableType]:
    """What went wrong, and what the marks mean that are shown."""
    notes = [Text(f"✗ {v.name}: {e}", style="red", overflow="fold") for v in state.variants for e in v.errors]
    if state.unreadable_lines:
        notes.append(Text(f"{state.unreadable_lines} lines of log.jsonl cannot be read", style="yellow"))
    shown = {part.status for variant in state.variants for part in variant.parts()}
    words = _WORDS | ({} if state.status in ("waiting", "running") else {"waiting": "not begun"})
    legend = "  ".join(f"{mark} {words.get(status, status)}" for status, (mark, _) in _MARKS.items() if status in shown)
    return [*notes, Text(legend, style="dim")]


def _between(start: datetime, end: datetime) -> str:
    return clock((end - start).total_seconds())


def _moment(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M")


def _ago(passed: timedelta) -> str:
    """How long ago, in the largest unit."""
    seconds = max(passed.total_seconds(), 0)
    for name, unit in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name} ago"
    return f"{seconds:.0f} seconds ago"
