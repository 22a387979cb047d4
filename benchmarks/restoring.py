"""Restoring real pictures: large ones in bounded memory, tiles against wholes, and kills.

Networks are named as lightsharp restore takes them: a shipped name, an artifact's folder or a deployable's file.
    python benchmarks/restoring.py large NETWORK...      # 7680x4320 within --memory, against 1280x720
    python benchmarks/restoring.py tiles NETWORK...      # three photographs, whole and in tiles
    python benchmarks/restoring.py kills                 # 200 pictures, killed five times, against an undisturbed run
    python benchmarks/restoring.py mixes NETWORK...      # gains on pictures blurred in part, all over, not at all
    python benchmarks/restoring.py selective NETWORK...  # where there is blur only, against everywhere: gain and time
    python benchmarks/restoring.py bound NETWORK...      # the least work for a share of the gain, the sharp ones known
Each prints a table with its conditions; --out also writes the record. Times need an idle machine.
"""

import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from baseline import resident
from baseline.bounded import ArrayRestorer, BoundedRestorer
from baseline.budget import free_memory, parse_memory
from baseline.data.blur import shake
from baseline.data.datasets import open_data
from baseline.data.loader import to_tensor
from baseline.data.pairs import Pair
from baseline.data.partly import stay_sharp
from baseline.data.photos import FOLDER, load_photo
from baseline.data.pictures import Picture, list_pictures, write_picture
from baseline.metrics import psnr
from baseline.restore import restore_files
from baseline.selective.calibration import Seen, calibration_of
from baseline.selective.restoring import SelectiveRestorer
from baseline.selective.scales import ALIGNED
from baseline.selective.score import gains_of, shipped_model
from baseline.selective.windows import cell_errors
from baseline.settings import DataSettings
from compress.machine import describe_machine
from recipes.networks import open_named
from recipes.selective import KEEP_GAIN, made_selective

MIXES = ("photos-mixed-50-30-20", "photos-mixed-20-30-50", "photos-mixed-80-15-5", "photos-uniform")
LARGE, SMALL = (4320, 7680), (720, 1280)

networks_argument = click.argument("networks", nargs=-1, required=True)
out_option = click.option("--out", type=click.Path(path_type=Path), help="Also write the record here.")


@click.group()
def main() -> None:
    """Restoring real pictures."""


def finish(record: dict[str, Any], table: Table, out: Path | None) -> None:
    """Print the table and its conditions, and write the record."""
    record |= {"machine": describe_machine(), "threads": torch.get_num_threads(), "load": os.getloadavg()[0]}
    Console(width=150).print(table)
    click.echo(", ".join(f"{key}: {value}" for key, value in record.items() if key != "rows"))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + "\n")


def blurred_photo(number: int) -> Picture:
    """A shipped test photograph under a shake of 4 pixels."""
    return shake(load_photo(list_pictures(FOLDER / "test")[number]), np.random.default_rng(number), 4.0)


def mosaic(size: tuple[int, int]) -> Picture:
    """Blurred test photographs side by side, mirrored, until they fill a picture."""
    strips = []
    for row in range(-(-size[0] // 512)):
        line = [blurred_photo((row * 8 + column) % 12)[:512, :512] for column in range(-(-size[1] // 512))]
        strips.append(np.concatenate([np.pad(p, ((0, 512 - len(p)), (0, 0), (0, 0)), mode="reflect") for p in line], 1))
    return np.ascontiguousarray(np.concatenate(strips)[: size[0], : size[1]])


@main.command()
@networks_argument
@click.option("--memory", default="1.5GB")
@click.option("--rounds", default=3, help="How often the small picture is restored before and after the large one.")
@out_option
def large(networks: tuple[str, ...], memory: str, rounds: int, out: Path | None) -> None:
    """Seconds a megapixel and the peak of memory over the loaded runtime, files read and written."""
    table = Table("network", "tiles", "s/MP small", "s/MP large", "ratio", "peak MB over runtime", "seam", "B/pixel")
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for name, size in (("large", LARGE), ("small", SMALL)):
            write_picture(mosaic(size), Path(work) / f"{name}.jpg")
        for network in networks:
            command = [sys.executable, __file__, "one-large", network, work, memory, str(rounds)]
            row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            rows.append(row)
            ratio = row["large_s_per_mp"] / row["small_s_per_mp"]
            seen = f"{row['tiles']} seeing {row['seen']:.3f}x"
            numbers = [f"{row['small_s_per_mp']:.3f}", f"{row['large_s_per_mp']:.3f}", f"{ratio:.3f}"]
            table.add_row(network, seen, *numbers, f"{row['peak_mb']:.0f}", str(row["seam"]), str(row["pixel_bytes"]))
    finish({"memory": memory, "large": LARGE, "small": SMALL, "rows": rows}, table, out)


@main.command("one-large", hidden=True)
@click.argument("network")
@click.argument("work", type=click.Path(path_type=Path))
@click.argument("memory")
@click.argument("rounds", type=int)
def one_large(network: str, work: Path, memory: str, rounds: int) -> None:
    """One network in a process of its own: what `large` runs."""
    restorer = open_named(network)
    restorer(torch.zeros(1, 3, 64, 64))
    loaded = resident.resident_bytes()
    bounded = BoundedRestorer(restorer, parse_memory(memory))
    began = time.perf_counter()
    measured = bounded.known() | {"pixel_bytes": bounded.pixel_bytes, "seam": [bounded.seam.skip, bounded.seam.ramp]}
    measuring_s = time.perf_counter() - began
    tiling = bounded.tiling(LARGE, 3 * LARGE[0] * LARGE[1])

    def seconds(name: str, size: tuple[int, int]) -> float:
        began = time.perf_counter()
        (done,) = restore_files(bounded, [(work / f"{name}.jpg", work / "restored.png")])
        if done.error:
            raise RuntimeError(done.error)
        return (time.perf_counter() - began) / (size[0] * size[1] / 1e6)

    small = [seconds("small", SMALL) for _ in range(rounds + 1)][1:]
    resident.forget_peak()
    large_s = seconds("large", LARGE)
    peak = resident.peak_bytes() - loaded
    small += [seconds("small", SMALL) for _ in range(rounds)]
    row = measured | {
        "network": network,
        "tiles": f"{len(tiling.columns)}x{len(tiling.rows)}",
        "seen": tiling.seen_pixels / (LARGE[0] * LARGE[1]),
        "small_s_per_mp": statistics.median(small),
        "large_s_per_mp": large_s,
        "peak_mb": peak / 1e6,
        "measuring_s": measuring_s,
    }
    click.echo(json.dumps(row))


@main.command()
@networks_argument
@out_option
def mixes(networks: tuple[str, ...], out: Path | None) -> None:
    """The mean PSNR in dB of the blurred and of the restored pictures on every fixed set, and on sharp photographs."""
    table = Table("network", "set", "blurred dB", "restored dB", "gain dB", "least", "most")
    rows = []
    restorers = {network: BoundedRestorer(open_named(network), free_memory()) for network in networks}
    for name in (*MIXES, "sharp"):
        pairs = sharp_pairs() if name == "sharp" else list(open_data(DataSettings(name=name)).test)
        before = [_psnr(pair.blurred, pair.sharp) for pair in pairs]
        for network, restorer in restorers.items():
            after = [_psnr(restorer(pair.blurred), pair.sharp) for pair in pairs]
            gains = [b - a for a, b in zip(before, after, strict=True)]
            means = statistics.mean(before), statistics.mean(after), statistics.mean(gains)
            rows.append({"network": network, "set": name, "blurred_db": before, "restored_db": after})
            table.add_row(network, name, *(f"{v:.2f}" for v in (*means, min(gains), max(gains))))
    finish({"rows": rows}, table, out)


def sharp_pairs() -> list[Pair]:
    """The test photographs with a sensor's noise and no blur."""
    photos = [(path.stem, load_photo(path)) for path in list_pictures(FOLDER / "test")]
    noisy = [stay_sharp(photo, np.random.default_rng(number), 0.0) for number, (_, photo) in enumerate(photos)]
    return [Pair(name, name, blurred, photo) for blurred, (name, photo) in zip(noisy, photos, strict=True)]


def _psnr(picture: Picture, sharp: Picture) -> float:
    return float(psnr(to_tensor(picture)[None], to_tensor(sharp)[None]))


@main.command()
@networks_argument
@click.option("--keep-gain", "shares", type=float, multiple=True, default=(KEEP_GAIN,), help="Of the full gain.")
@click.option("--rounds", default=3, help="Times that each picture is restored each way, in turn; the quickest counts.")
@out_option
def selective(networks: tuple[str, ...], shares: tuple[float, ...], rounds: int, out: Path | None) -> None:
    """Every fixed set restored everywhere by each network and selectively, in turn; gains in dB and times in seconds.

    `times as fast` is against the same network everywhere; `than the first`, against the first network everywhere.
    """
    table = Table(
        "set", "network", "keep", "gain dB", "kept", "s a MP", "times as fast", "than the first", "work", "cut"
    )
    rows = []
    whole = {network: BoundedRestorer(open_named(network), free_memory()) for network in networks}
    ways: dict[tuple[str, float | None], ArrayRestorer] = {}
    for network, bounded in whole.items():
        ways[network, None] = bounded
        ways |= {(network, share): made_selective(bounded, network, share) for share in shares}
    for name in (*MIXES, "sharp"):
        pairs = sharp_pairs() if name == "sharp" else list(open_data(DataSettings(name=name)).test)
        seen = {way: [_Restored.of(restorer, pair) for pair in pairs] for way, restorer in ways.items()}
        for _ in range(rounds - 1):
            for number, pair in enumerate(pairs):
                for way, restorer in ways.items():
                    seen[way][number].again(restorer, pair)
        megapixels = sum(pair.blurred.shape[0] * pair.blurred.shape[1] for pair in pairs) / 1e6
        first_s = sum(one.seconds for one in seen[networks[0], None])
        for (network, share), found in seen.items():
            gain, full = (statistics.mean(one.gain_db for one in of) for of in (found, seen[network, None]))
            took_s, full_s = (sum(one.seconds for one in of) for of in (found, seen[network, None]))
            row = {
                "set": name,
                "network": network,
                "keep_gain": share,
                "gain_db": gain,
                "kept": gain / full if full > 0 else None,
                "s_per_megapixel": took_s / megapixels,
                "times_as_fast": full_s / took_s,
                "than_the_first": first_s / took_s,
                "work": statistics.mean(one.work for one in found),
                "cut": sum(one.work < 1 for one in found),
                "pictures": [vars(one) for one in found],
            }
            rows.append(row)
            shown = [f"{v:.2f}" if isinstance(v, float) else str(v or "all") for v in list(row.values())[:-1]]
            table.add_row(*shown)
    finish({"rows": rows, "rounds": rounds}, table, out)


@dataclass
class _Restored:
    """A picture restored one way: PSNR gained, the least seconds that it took, and the work that was decided on."""

    gain_db: float
    seconds: float
    work: float

    @classmethod
    def of(cls, restorer: ArrayRestorer, pair: Pair) -> "_Restored":
        restored, seconds = _timed(restorer, pair)
        decision = restorer.last if isinstance(restorer, SelectiveRestorer) else None
        gain_db = _psnr(restored, pair.sharp) - _psnr(pair.blurred, pair.sharp)
        return cls(gain_db, seconds, 1.0 if decision is None else float(decision.work))

    def again(self, restorer: ArrayRestorer, pair: Pair) -> None:
        self.seconds = min(self.seconds, _timed(restorer, pair)[1])


def _timed(restorer: ArrayRestorer, pair: Pair) -> tuple[Picture, float]:
    start = time.perf_counter()
    restored = restorer(pair.blurred)
    return restored.astype(np.uint8, copy=False), time.perf_counter() - start


@main.command()
@networks_argument
@click.option("--keep-gain", "share", default=KEEP_GAIN, show_default=True)
@out_option
def bound(networks: tuple[str, ...], share: float, out: Path | None) -> None:
    """The work that keeps a share of the gain, relative to restoring everything: by the score, and by the true gains.

    Both cut pictures the same way, each at the price that just keeps the share on the set itself. Who knew the true
    gains of every part would need no network: no score reaches that.
    """
    table = Table("set", "network", "told by", "kept", "work")
    rows = []
    for network in networks:
        restorer = open_named(network)
        for name in MIXES:
            scored, known = [], []
            for pair in open_data(DataSettings(name=name)).test:
                height, width = (side // ALIGNED * ALIGNED for side in pair.blurred.shape[:2])
                blurred, sharp = pair.blurred[:height, :width], pair.sharp[:height, :width]
                errors = cell_errors(restorer, blurred, sharp)
                true = (errors[:1] - errors[1:]).transpose(1, 2, 0)
                scored.append(Seen(gains_of(blurred, shipped_model()), errors, (height, width)))
                known.append(Seen(true, errors, (height, width)))
            for told_by, seen in (("score", scored), ("true gains", known)):
                calibration = calibration_of(seen)
                price = calibration.price_for(share)
                (step,) = [step for step in calibration.steps if step[0] == price]
                rows.append({"set": name, "network": network, "told_by": told_by, "kept": step[1], "work": step[2]})
                table.add_row(name, network, told_by, f"{step[1]:.3f}", f"{step[2]:.2f}")
    finish({"rows": rows, "keep_gain": share}, table, out)


@main.command()
@networks_argument
@out_option
def tiles(networks: tuple[str, ...], out: Path | None) -> None:
    """The largest difference between three photographs restored whole and in tiles, in grey levels."""
    table = Table("network", "photograph", "tiles", "largest difference", "pixels that differ", "by more than 1")
    rows = []
    for network in networks:
        whole = BoundedRestorer(open_named(network), free_memory())
        for number in (0, 4, 8):
            picture = blurred_photo(number)
            memory = 4 * picture.nbytes + whole.pixel_bytes * picture.shape[0] * picture.shape[1] // 4
            cut = BoundedRestorer(whole.restorer, memory, whole.pixel_bytes, whole.seam)
            tiling = cut.tiling(picture.shape[:2], picture.nbytes)
            difference = np.abs(whole(picture).astype(int) - cut(picture))
            row = {
                "network": network,
                "photograph": list_pictures(FOLDER / "test")[number].stem,
                "tiles": f"{len(tiling.columns)}x{len(tiling.rows)}",
                "largest": int(difference.max()),
                "differ": float((difference > 0).mean()),
                "beyond_1": float((difference > 1).mean()),
            }
            rows.append(row)
            table.add_row(*(f"{value:.2e}" if isinstance(value, float) else str(value) for value in row.values()))
    finish({"rows": rows}, table, out)


@main.command()
@click.option("--pictures", default=200)
@click.option("--kills", "count", default=5)
@click.option("--network", default="photos")
@out_option
def kills(pictures: int, count: int, network: str, out: Path | None) -> None:
    """A folder restored with kills at random moments, against the same undisturbed."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as work:
        inside = Path(work) / "in"
        inside.mkdir()
        for number in range(pictures):
            rng = np.random.default_rng(number)
            photo = blurred_photo(number % 12)
            top, left = (int(rng.integers(side - 200)) for side in photo.shape[:2])
            kind = ("png", "jpg", "webp", "tif")[number % 4]
            write_picture(photo[top : top + 96 + number % 37, left : left + 128], inside / f"{number:03}.{kind}")
        command = [sys.executable, "-m", "recipes.cli", "restore", str(inside), "--network", network, "--out"]
        began = time.perf_counter()
        subprocess.run([*command, f"{work}/undisturbed"], check=True, capture_output=True)
        whole_s = time.perf_counter() - began
        done_at_kill = [0]
        for _ in range(count):
            with subprocess.Popen(
                [*command, f"{work}/killed"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as running:
                # From the first picture that it adds: before that there is nothing to lose.
                while len(restored_in(Path(work, "killed"))) <= done_at_kill[-1] and running.poll() is None:
                    time.sleep(0.01)
                time.sleep(whole_s * chance.uniform(0.01, 0.08))
                if running.poll() is not None:
                    raise RuntimeError("a run ended before it was killed: take more --pictures")
                running.kill()
            done_at_kill.append(len(restored_in(Path(work, "killed"))))
        last = subprocess.run([*command, f"{work}/killed"], capture_output=True, text=True, check=True)
        one, other = (checksums(Path(work) / name) for name in ("undisturbed", "killed"))
    table = Table("pictures", "kills", "done at each kill", "restored by the last run", "complete", "equal")
    row = {
        "pictures": len(one),
        "kills": count,
        "done_at_kill": done_at_kill[1:],
        "last_run": last.stdout.count(" -> "),
        "complete": len(other) == pictures,
        "equal": one == other,
    }
    table.add_row(*(str(value) for value in row.values()))
    finish({"network": network, "rows": [row]}, table, out)


def restored_in(folder: Path) -> list[Path]:
    """Every file that was restored, in order; none while there is no folder."""
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def checksums(folder: Path) -> dict[str, str]:
    """Of every file that was restored."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in restored_in(folder)}


if __name__ == "__main__":
    main()
