"""Curves for people to watch while a training runs, in the trackers that they know."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from baseline.errors import UserError

Track = Callable[[int, Mapping[str, float]], None]
"""(step, values by name) -> nothing."""


@contextmanager
def tracker(kind: str, folder: Path) -> Iterator[Track]:
    """Write to a tracker's files in `folder`: "none", "tensorboard" or "mlflow"; a UserError if it is not installed."""
    if kind == "none":
        yield lambda _step, _values: None
        return
    if find_spec(kind) is None:
        raise UserError(f"track '{kind}' must be installed; it is not. Type: pip install 'lightsharp[track]'.")
    folder.mkdir(parents=True, exist_ok=True)
    with _TRACKERS[kind](folder) as track:
        yield track


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Track]:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:

        def track(step: int, values: Mapping[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        yield track


@contextmanager
def _mlflow(folder: Path) -> Iterator[Track]:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{(folder / 'mlflow.db').absolute()}")
    mlflow.set_experiment("lightsharp")
    with mlflow.start_run():

        def track(step: int, values: Mapping[str, float]) -> None:
            mlflow.log_metrics(dict(values), step=step)

        yield track


_TRACKERS = {"tensorboard": _tensorboard, "mlflow": _mlflow}
