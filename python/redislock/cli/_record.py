"""A comparison as data: the JSON that `--json` writes and the rows of `--csv`.

A comparison under one setting is one object. A sweep has a list ``cells`` of such objects, each with
its own ``settings``, ``label`` and ``strategies``.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redislock
from redislock import load
from redislock._sweep import DIMENSIONS
from redislock.cli._common import write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redislock._sweep import Cell, Setting
    from redislock.cli._checks import Ruling
    from redislock.cli._target import Target


@dataclasses.dataclass
class Record:
    """What a comparison has shown, as far as it went."""

    cells: list[Cell] = dataclasses.field(default_factory=list)
    interrupted: bool = False
    failure: redislock.Error | None = None
    rulings: list[Ruling] = dataclasses.field(default_factory=list)


def as_dict(
    target: Target, asked: dict[str, Any], settings: Sequence[Setting], record: Record, url: str | None
) -> dict[str, Any]:
    """Return all of it as a dict for JSON."""
    details = target.health.details
    return {
        "command": _command(url, target.shown_url),
        "started": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "interrupted": record.interrupted,
        "error": None if record.failure is None else str(record.failure),
        "seed": asked["seed"],
        **_cells(asked, settings, record),
        "checks": [each.as_dict() for each in record.rulings],
        "versions": {
            "redislock": redislock.__version__,
            "hiredis": redislock.build_info()["hiredis"],
            "python": platform.python_version(),
            "server": f"{target.health.server} {target.health.version}",
        },
        "server": {
            "line": target.line,
            "url": target.shown_url,
            "private": target.private,
            "name": target.health.server,
            "version": target.health.version,
            "role": target.health.role,
            "persistence": {"aof": details.get("aof_enabled") == "1", "save": details.get("save")},
            "maxmemory": details.get("maxmemory"),
            "maxmemory_policy": details.get("maxmemory_policy"),
            "details": details,
            "warnings": target.health.warnings,
        },
        "cpu": _cpu(),
        "round_trip": target.round_trip,
    }


def database(target: Target) -> dict[str, Any]:
    """Return what is to be known of the database, where there was one."""
    return {
        "line": target.line,
        "url": target.shown_url,
        "private": target.private,
        "name": target.health.server,
        "version": target.health.version,
        "details": target.health.details,
        "warnings": target.health.warnings,
        "round_trip": target.round_trip,
    }


def _cells(asked: dict[str, Any], settings: Sequence[Setting], record: Record) -> dict[str, Any]:
    """Return one cell's fields, or the list of cells that a sweep has."""
    if len(settings) == 1:
        return _one(asked, settings[0], record)
    lists = {name: list(dict.fromkeys(getattr(each, name) for each in settings)) for name in DIMENSIONS}
    seen = dict.fromkeys(each.setting for each in record.cells)
    return {"settings": {**asked, **lists}, "cells": [_one(asked, each, record) for each in seen]}


def _one(asked: dict[str, Any], setting: Setting, record: Record) -> dict[str, Any]:
    mine = [each for each in record.cells if each.setting == setting]
    return {
        "settings": {**asked, **dataclasses.asdict(setting)},
        "label": load.NO_CONFLICT if setting.users == 1 else None,
        "strategies": {each.strategy: each.as_dict() for each in mine},
    }


def _command(url: str | None, shown_url: str) -> list[str]:
    """The command line, without the passwords that URLs may hold."""
    secret = url is not None and "***" in shown_url
    words = (each.replace(str(url), shown_url) if secret else each for each in sys.argv[1:])
    return ["redislock", *(re.sub(r"(postgres\w*://[^/\s]*?:)[^/\s]*@", r"\1***@", each) for each in words)]


def _cpu() -> dict[str, Any]:
    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"model": model, "machine": platform.machine(), "count": os.cpu_count(), "usable": usable}


# ---- CSV

_TIMES = ("min", "mean", "p50", "p95", "p99", "p999", "max")
_STATUSES = ("ok", "insufficient", "missing", "lock_busy", "conflict", "lock_lost")


def as_csv(asked: dict[str, Any], cells: Sequence[Cell]) -> str:
    """Return one line for each cell, times in seconds, below the names of the columns."""
    out = io.StringIO()
    rows = [_row(asked, each) for each in cells]
    names = list(rows[0]) if rows else ["strategy"]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _row(asked: dict[str, Any], cell: Cell) -> dict[str, Any]:
    report = cell.report
    spread = cell.spread("throughput") or (report.throughput, report.throughput)
    latency, service = report.latency.as_dict(), report.service.as_dict()
    per_ok = ("conflicts", "attempts", "round_trips", "statements", "transactions")
    return {
        "strategy": cell.strategy,
        **dataclasses.asdict(cell.setting),
        "rate": asked["rate"],
        "keys": asked["keys"],
        "processes": asked["processes"],
        "rounds": len(cell.reports),
        "throughput": report.throughput,
        "throughput_least": spread[0],
        "throughput_greatest": spread[1],
        **{name: latency[name] for name in _TIMES},
        **{f"service_{name}": service[name] for name in _TIMES},
        **{name: report.statuses.get(name, 0) for name in _STATUSES},
        "faults": sum(each["count"] for each in report.errors.values()),
        "missed": report.missed,
        **{f"{name}_per_ok": cell.value(name) for name in per_ok},
        "verdict": report.verdict.word,
        "lost": report.verdict.lost,
        "unknown": report.verdict.unknown,
    }


def write(name: str, text: str) -> bool:
    """Write it to the file of that name; - is standard output. False if that cannot be done."""
    if name == "-":
        sys.stdout.write(text)
        return True
    return write_file(name, lambda: Path(name).write_text(text, encoding="utf-8"))


def write_json(name: str, value: dict[str, Any]) -> bool:
    """Write it as JSON."""
    return write(name, json.dumps(value, indent=2) + "\n")
