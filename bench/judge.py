"""From samples to verdicts: figures of a row, ratios within each round, their median, the goal."""

from __future__ import annotations

import dataclasses
import statistics
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bench.job import Sample
    from bench.rounds import Plan
    from bench.row import Goal, Row

FIGURES: Final = (
    "rate",
    "cpu",
    "p50",
    "p99",
    "bytes_per_operation",
    "growth",
    "spread",
    "longest",
    "subscriptions",
    "connections",
    "load",
    "batch",
)


def medians(samples: list[Sample]) -> dict[str, float]:
    """The median of every figure that the samples have."""
    found = {}
    for figure in FIGURES:
        values = [value for each in samples if (value := getattr(each, figure)) is not None]
        if values:
            found[figure] = statistics.median(values)
    return found


def _judge(goal: Goal, samples: dict[str, list[Sample]]) -> dict[str, Any]:
    verdict = dataclasses.asdict(goal) | {"at_least": goal.at_least, "measured": None, "met": None}
    ours = [getattr(each, goal.figure) for each in samples.get(goal.who, [])]
    if goal.against is not None:
        theirs = [getattr(each, goal.figure) for each in samples.get(goal.against, [])]
        ours = [a / b for a, b in zip(ours, theirs, strict=False) if a is not None and b]
    if ours:
        measured = statistics.median(ours)
        met = measured >= goal.bound if goal.at_least else measured <= goal.bound
        verdict |= {"rounds": ours, "measured": measured, "met": met}
    return verdict


def judge_row(
    row: Row, plan: Plan, samples: dict[str, list[Sample]], missing: dict[str, str]
) -> dict[str, Any]:
    """All that is to be kept of a row."""
    return {
        "title": row.title.format(**dataclasses.asdict(plan)),
        "users": row.users,
        "accounts": row.accounts,
        "contestants": {
            name: {
                "median": medians(runs),
                "rounds": [_without_none(dataclasses.asdict(run)) for run in runs],
            }
            for name, runs in samples.items()
        },
        "missing": missing,
        "goals": [_judge(goal, samples) for goal in row.goals],
    }


def _without_none(sample: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sample.items() if value is not None and value != {}}
