"""Runs cases one after the other and says how each went."""

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.judge import WITHIN_SECONDS, Logs, Verdict, judge
from tests.chaos.load import Load
from tests.chaos.stage import Deployed, Stage


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fault. `fault` breaks something and mends it again, while the load is running."""

    fault: Callable[[Any], None]
    stage: type[Stage] = Deployed
    within: float = WITHIN_SECONDS
    """Seconds from the end of the fault to the end of all tasks; more is reported as slow."""
    alone: bool = False
    """Leaves its stage in a state that no other case should find."""
    post_within: float | None = None
    """Seconds in which each POST that was accepted was answered; more is reported as slow."""


def run(case: Case, name: str, stage: Stage, *, seed: int) -> Verdict:
    """One case on a stage that is open. Whatever goes wrong in it is a problem of the verdict."""
    stage.hooks.forget()
    stage.hooks.delay = 0.0
    load = stage.load = Load(stage.api.url, seed=seed)
    logs = Logs(stage)
    problems: list[str] = []
    try:
        load.start()
        case.fault(stage)
    except Exception as error:
        traceback.print_exc()
        problems.append(f"the case itself: {type(error).__name__}: {str(error)[:300]}")
    over, before = time.monotonic(), set(load.accepted)
    try:
        load.finish()
        verdict = judge(name, stage, load, logs=logs, before=before, over=over, within=case.within)
    except Exception as error:
        traceback.print_exc()
        verdict = Verdict(case=name, accepted=len(load.accepted), lost=len(load.accepted))
        problems.append(f"no verdict: {type(error).__name__}: {str(error)[:300]}")
    verdict.problems[:0] = problems
    if case.post_within and load.slowest_seconds > case.post_within:
        verdict.slow.append(f"a POST took {load.slowest_seconds:.1f} s, more than {case.post_within:g}")
    return verdict


def run_all(cases: dict[str, Case], *, seed: int) -> Iterator[Verdict]:
    """Cases that want the same stage share it; after one that does not hold comes a new one."""
    for kind in dict.fromkeys(case.stage for case in cases.values()):
        stage: Stage | None = None
        try:
            for name, case in cases.items():
                if case.stage is not kind:
                    continue
                if stage is None:
                    stage = kind(seed=seed)
                    stage.open()
                verdict = run(case, name, stage, seed=seed)
                yield verdict
                if verdict.problems or case.alone:
                    stage.close()
                    stage = None
        finally:
            if stage is not None:
                stage.close()


HEADINGS = ("case", "accepted", "terminal", "lost", "settled twice", "webhooks missing", "seconds to recovery")


def row(verdict: Verdict) -> Sequence[object]:
    return (verdict.case, verdict.accepted, verdict.terminal, verdict.lost, verdict.settled_twice,
            verdict.webhooks_missing, f"{verdict.seconds:.1f}")  # fmt: skip


def line(cells: Sequence[object]) -> str:
    first, *rest = cells
    return f"{first!s:<30}" + "".join(
        f"{cell!s:>{len(heading) + 3}}" for cell, heading in zip(rest, HEADINGS[1:], strict=True)
    )
