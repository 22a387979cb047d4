from collections.abc import Mapping

import pytest

from baseline.progress import Heard, heard_by, progress


def test_a_listener_hears_of_every_step_and_no_more_when_it_is_gone(capfd: pytest.CaptureFixture[str]) -> None:
    heard: list[tuple[object, ...]] = []

    def listener(label: str, total: int, done: int) -> Heard:
        heard.append((label, total, done))
        return lambda step, losses: heard.append((step, dict(losses)))

    losses: Mapping[str, float] = {"l1": 0.5}
    with heard_by(listener), progress("training", 4, done=2) as steps:
        steps(3, "loss 0.5", losses)
        steps(4)
    with progress("training", 1) as steps:
        steps(1)
    assert heard == [("training", 4, 2), (3, {"l1": 0.5}), (4, {})]
    assert capfd.readouterr().err.count("training: ") == 2  # what people see goes on as it was
