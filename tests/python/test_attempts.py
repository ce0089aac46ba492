"""Nothing serializes callers by accident: `watch` meets its conflicts, whatever the front end."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
LONGEST = 240
FRONT_ENDS = {"threads", "asyncio", "gevent", "native"}
RESULTS = sorted((TOP / "bench" / "results" / "attempts").glob("*.json"))

pytestmark = pytest.mark.timeout(LONGEST + 20)


def attempts(*words):
    return subprocess.run(
        [sys.executable, "-m", "bench.attempts", *words],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


@pytest.mark.timing  # a matter of pace, which sanitizers change
def test_no_front_end_is_below_half_of_as_many_processes(tmp_path):
    pytest.importorskip("redis")  # reads the books
    output = tmp_path / "result.json"
    ran = attempts("--quick", "--users", "16", "--output", str(output))
    assert ran.returncode == 0, ran.stderr
    result = json.loads(output.read_text(encoding="utf-8"))
    assert len(result["rows"]) == 2
    for row in result["rows"].values():
        seen = {way: kept["of_processes"] for way, kept in row["contestants"].items()}
        assert set(row["missing"]) <= {"gevent"}
        assert all(seen[way] >= 0.5 for way in FRONT_ENDS - set(row["missing"])), (row["title"], seen)
    # The measure would show it: this is what callers look like who wait for each other. How far below
    # the others they are is a matter of how busy the machine is with other things.
    row = result["rows"]["16-0"]["contestants"]
    control = row["one at a time"]
    assert control["per_success"] == 1
    assert control["of_processes"] < min(row[way]["of_processes"] for way in FRONT_ENDS if way in row)


@pytest.mark.timing
def test_one_below_half_is_told_and_ends_the_run_with_1(tmp_path):
    """The control itself, taken for a front end; on a busy machine even processes race little."""
    pytest.importorskip("redis")
    planted = tmp_path / "planted.py"
    planted.write_text(
        "import sys\n"
        "from bench import attempts\n"
        "attempts.FRONT_ENDS = (attempts.CONTROL,)\n"
        "attempts.LEAST = 1.01\n"
        "sys.exit(attempts.main(['--quick', '--rounds', '1', '--users', '16']))\n",
        encoding="utf-8",
    )
    ran = subprocess.run(
        [sys.executable, str(planted)],
        cwd=TOP,
        env={"PYTHONPATH": ":".join([str(TOP), *sys.path]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert ran.returncode == 1
    assert "below half: 16 callers, one attempt a call: one at a time 1.00, " in ran.stderr


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--duration", "-1"], ["--users", "0"]])
def test_a_plan_that_makes_no_sense_is_refused(words):
    refused = attempts("--quick", *words)
    assert refused.returncode == 1
    assert refused.stderr.startswith("bench: ")


@pytest.mark.skipif(not RESULTS, reason="a source distribution holds no results")
def test_the_page_shows_the_committed_result(tmp_path):
    page = TOP / "docs" / "fairness.md"
    copy = tmp_path / "page.md"
    shutil.copy(page, copy)
    assert attempts("table", "--into", str(copy)).returncode == 0
    assert copy.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")
    result = json.loads(RESULTS[-1].read_text(encoding="utf-8"))
    for row in result["rows"].values():
        assert all(row["contestants"][way]["of_processes"] >= 0.5 for way in FRONT_ENDS), row["title"]
