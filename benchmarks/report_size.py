"""What the report of 200 variants with 12 pictures each takes, and its size: python benchmarks/report_size.py."""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reports.front import front
from reports.record import PictureRow, Report, Variant
from reports.write import read_report, write_report

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "benchmarks" / "results" / "demo"
PHOTOS = ROOT / "baseline" / "shipped" / "photos"
VARIANTS, PICTURES, HEIGHT, WIDTH = 200, 12, 384, 512
SORT = """
() => {
  const times = [];
  for (const button of document.querySelectorAll("#results-table thead button")) {
    const start = performance.now();
    button.click();
    document.body.getBoundingClientRect();
    times.push(performance.now() - start);
  }
  return times;
}
"""


def photographs() -> list[NDArray[np.uint8]]:
    """Crops of the shipped photographs, all of one size."""
    crops = []
    for path in sorted(PHOTOS.rglob("*.webp")):
        pixels = np.asarray(Image.open(path).convert("RGB"))[:HEIGHT, :WIDTH]
        if pixels.shape == (HEIGHT, WIDTH, 3):
            crops.append(pixels)
    return crops[:PICTURES]


def scaled(like: Variant, name: str, rng: np.random.Generator, names: list[str]) -> Variant:
    """A variant with the details of a measured one and numbers of its own."""
    shares = iter(rng.uniform(0.6, 1.6, 100))

    def other(value: float | None) -> float | None:
        return None if value is None else float(next(shares)) * value

    metrics = {
        key: one.model_copy(update={"value": other(one.value), "interval": None}) for key, one in like.metrics.items()
    }
    latency = [
        row.model_copy(update={"median_ms": other(row.median_ms), "p10_ms": None, "p90_ms": None})
        for row in like.latency
    ]
    scores = [PictureRow(name=name, group=name, psnr_db=27 + float(next(shares)), ssim=0.8) for name in names]
    return like.model_copy(update={"name": name, "metrics": metrics, "latency": latency, "pictures": scores})


def synthetic(names: list[str]) -> Report:
    """A run of many variants, as the demo's record would have them."""
    record = read_report(RECORD)
    rng = np.random.default_rng(0)
    sound = [variant for variant in record.variants if not variant.error]
    variants = [scaled(sound[i % len(sound)], f"variant-{i:03d}", rng, names) for i in range(VARIANTS)]
    return record.model_copy(
        update={"variants": variants, "run": record.run.model_copy(update={"sample_pictures": names})}
    )


def write_pictures(report: Report, folder: Path) -> None:
    """All files of the run, each photograph with a little noise of its own."""
    rng = np.random.default_rng(1)
    columns = ["blurred", "sharp", "teacher", *(variant.name for variant in report.variants)]
    for name, pixels in zip(report.run.sample_pictures, photographs(), strict=True):
        (folder / name).mkdir(parents=True)
        for column in columns:
            noisy = np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / name / f"{column}.webp", quality=95, method=0)


def measured(folder: Path) -> dict[str, Any]:
    """Write the report once: seconds, the process's highest memory, bytes. For a process of its own."""
    report = read_report(folder)
    start = time.perf_counter()
    paths = write_report(report, folder)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "peak": peak, "bytes": paths[-1].stat().st_size}


def in_browser(page: Path) -> tuple[float, float] | None:
    """Milliseconds until the page is loaded, and of its slowest sort with the layout after it; None: no browser."""
    try:
        from tests.reports.browser import CHROMIUM, opened
    except ImportError:
        return None
    if CHROMIUM is None:
        return None
    with opened(page) as tab:
        loaded: float = tab.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
        return loaded, max(tab.evaluate(SORT))


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        report = synthetic([f"picture-{i:02d}" for i in range(PICTURES)])
        (folder / "report.json").write_text(report.model_dump_json())
        write_pictures(report, folder / "pictures")
        child = [sys.executable, str(Path(__file__)), str(folder)]
        found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
        files = list((folder / "pictures").rglob("*.webp"))
        size = sum(path.stat().st_size for path in files)
        print(
            f"{VARIANTS} variants, {len(front(report))} of them on the front; {PICTURES} pictures of {WIDTH}x{HEIGHT}"
        )
        print(f"each: {len(files)} files, {size / 1e6:.0f} MB. write_report in a process of its own, once,")
        print(f"on {os.cpu_count()} CPUs with Python {platform.python_version()}.\n")
        print("| what | measured | limit |\n|---|---|---|")
        print(f"| write_report | {found['seconds']:.1f} s | 20 s |")
        print(f"| highest memory of the process | {found['peak'] / 1e6:.0f} MB | 1000 MB |")
        print(f"| report.html | {found['bytes'] / 1e6:.2f} MB | 12 MB |")
        shown = in_browser(folder / "report.html")
        if shown is None:
            print("| slowest sort in the browser | not measured: no Chromium, or no playwright | 200 ms |")
        else:
            print(f"| slowest sort in Chromium, with layout | {shown[1]:.0f} ms | 200 ms |")
            print(f"| loading in Chromium | {shown[0]:.0f} ms | |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measured(Path(sys.argv[1]))))
    else:
        main()
