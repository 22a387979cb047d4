from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from reports.record import Report
from reports.write import write_report
from tests.reports.browser import opened


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_loads_and_nothing_overflows(report: Report, tmp_path: Path, width: int, scheme: str) -> None:
    write_report(report, tmp_path)
    with opened(tmp_path / "report.html", width, scheme) as page:
        assert page.title().startswith(report.run.name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        faults = [
            (fault["id"], fault["impact"], [node["target"] for node in fault["nodes"]][:3])
            for fault in Axe().run(page).response["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
        assert faults == []
