"""Results as they are kept: JSON by its date, and the tables of one, printed or put into a page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import report

if TYPE_CHECKING:
    from collections.abc import Callable

    Table = Callable[[dict[str, Any]], str]


def place_of(date: str, output: Path | None, results: Path, *, quick: bool) -> Path | None:
    """Where a result goes: what was asked for, else among the others; a quick one is not kept."""
    return output if output is not None or quick else results / f"{date}.json"


def read(file: Path) -> dict[str, Any]:
    """Take a result out of its file."""
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


def write(file: Path, result: dict[str, Any]) -> None:
    """Keep a result."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def show(program: str, results: Path, arguments: list[str], table: Table, for_page: Table) -> int:
    """Run `PROGRAM table [FILE] [--into PAGE]`: print a result's tables, or put them into a page."""
    parser = argparse.ArgumentParser(prog=f"{program} table")
    parser.add_argument("file", nargs="?", type=Path, help="default: the newest result")
    parser.add_argument("--into", type=Path, help="put the table into this page")
    options = parser.parse_args(arguments)
    file = options.file or max(results.glob("*.json"), default=None)
    if file is None:
        raise ValueError(f"no result yet: run {program}")
    result = read(file)
    if options.into is None:
        print(table(result))
        return 0
    page = options.into.read_text(encoding="utf-8")
    options.into.write_text(report.put_into(page, for_page(result)), encoding="utf-8")
    return 0
