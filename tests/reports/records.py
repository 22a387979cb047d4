"""Records of real runs, and copies of them on another machine."""

from pathlib import Path

from reports.record import Report, Variant

RESULTS = Path(__file__).parents[2] / "benchmarks/results"
DEMO = Path(__file__).parent / "runs/demo/report.json"
"""A run of the demo that stays as it is, so that the shipped one can be made anew without a change to any test."""
GPU = "NVIDIA H100 80GB HBM3"


def shipped(name: str) -> Report:
    """A run that was really made: demo, edge or students."""
    path = DEMO if name == "demo" else RESULTS / name / "report.json"
    return Report.model_validate_json(path.read_bytes())


def variant_of(report: Report, name: str) -> Variant:
    """A variant by its name."""
    return next(variant for variant in report.variants if variant.name == name)


def on_gpu(report: Report) -> Report:
    """The same networks on a machine with a GPU, where each takes a fortieth of its time."""
    moved = report.model_copy(deep=True)
    moved.run.environment |= {"cpu": "Xeon Platinum", "gpu": GPU}
    for variant in (moved.teacher, *moved.variants):
        for row in list(variant.latency):
            assert row.median_ms is not None
            faster = {
                "runtime": "tensorrt",
                "device": "cuda",
                "file": "network.engine",
                "median_ms": row.median_ms / 40,
            }
            variant.latency.append(row.model_copy(update=faster))
    return moved


def set_metric(variant: Variant, key: str, value: float) -> None:
    """Give a variant another value of a metric."""
    variant.metrics[key] = variant.metrics[key].model_copy(update={"value": value})
