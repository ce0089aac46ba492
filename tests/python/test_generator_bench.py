"""What the load generator costs, beside the server: the measuring, and the page that shows it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
RESULTS = sorted((TOP / "bench" / "results" / "generator").glob("*.json"))


def generator(*words):
    return subprocess.run(
        [sys.executable, "-m", "bench.generator", *words],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.timing  # a share of processor time, which sanitizers change
def test_a_script_costs_the_server_more_than_the_generator(tmp_path):
    output = tmp_path / "result.json"
    ran = generator("--quick", "--users", "64", "--duration", "0.4", "--output", str(output))
    assert ran.returncode == 0, ran.stderr
    result = json.loads(output.read_text(encoding="utf-8"))
    cells = {(each["accounts"], each["strategy"]): each for each in result["cells"]}
    assert len(cells) == 8
    for each in cells.values():
        [kept] = each["rounds"]
        assert kept["server"] > 0
        assert each["ratio"] == pytest.approx((kept["user"] + kept["system"]) / kept["server"], abs=0.002)
    assert cells[1, "lua"]["ratio"] < 0.6  # a third is the goal; servers' clocks tick every 10 ms
    assert "| lua, one account |" in ran.stdout


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--duration", "-1"], ["--users", "0"]])
def test_a_plan_that_makes_no_sense_is_refused(words):
    refused = generator("--quick", *words)
    assert refused.returncode == 1
    assert refused.stderr.startswith("bench: ")


@pytest.mark.skipif(not RESULTS, reason="a source distribution holds no results")
def test_the_page_shows_the_committed_result(tmp_path):
    page = TOP / "docs" / "compare.md"
    copy = tmp_path / "page.md"
    shutil.copy(page, copy)
    assert generator("table", "--into", str(copy)).returncode == 0
    assert copy.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")
