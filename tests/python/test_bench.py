"""bench/: every part runs and its books balance. Nothing here looks at a figure's size."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]

LONGEST = 500  # a dozen processes, of which each has to import its client

pytestmark = [
    pytest.mark.timing,  # of no use under sanitizers: other people's clients, a process each
    pytest.mark.timeout(LONGEST + 20),
    pytest.mark.skipif(
        shutil.which("redis-server") is None, reason="bench compares on a redis-server from PATH"
    ),
]


def bench(*words):
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


BRIEFLY = ["--quick", "--warmup", "0.05", "--duration", "0.1", "--in-flight", "500"]
FLAT = ["--flat", "6400"]
# The lease is long enough for a machine that pauses: a lock that is lost fails the run.
LOCKS = ["--waiters", "20", "--leases", "50", "--lease", "3"]


@pytest.mark.parametrize(
    "rows",
    [
        ["sync", "asyncio", "flash-sale"],
        ["gevent", "lock", "locust", "swarm"],
        ["native", "in-flight", "flat", "latency"],
        ["lock-pairs", "lock-tasks", "lock-memory"],
        ["lock-turns", "lock-waiting", "lock-renewal"],
        ["sql-for-update", "sql-atomic-disk"],
    ],
    ids=" ".join,
)
def test_every_kind_of_run_works_and_its_books_balance(rows, tmp_path):
    output = tmp_path / "result.json"
    ran = bench(*BRIEFLY, *FLAT, *LOCKS, "--output", str(output), "--only", *rows)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(output.read_text(encoding="utf-8"))
    assert set(result["rows"]) == set(rows)
    for row in result["rows"].values():
        assert row["goals"]
        for goal in row["goals"]:
            able = all(who in row["contestants"] for who in (goal["who"], goal["against"]) if who)
            assert (goal["measured"] is not None) == able
        for why in row["missing"].values():
            assert "install" in why  # left out because something is not there, not because it failed
    table = bench("table", str(output))
    assert table.stdout in ran.stdout
    assert all(row["title"] in table.stdout for row in result["rows"].values())


def test_the_table_goes_between_the_marks_of_a_page(tmp_path):
    output, page = tmp_path / "result.json", tmp_path / "page.md"
    assert bench(*BRIEFLY, "--output", str(output), "--only", "memory").returncode == 0
    page.write_text("before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n")
    assert bench("table", str(output), "--into", str(page)).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- bench: begin -->\n| measure |")
    assert "|\n\n`python -m bench " in text
    assert text.endswith(" was to begin.\n<!-- bench: end -->\nafter\n")
    assert "old" not in text
    page.write_text("no marks\n")
    refused = bench("table", str(output), "--into", str(page))
    assert refused.returncode == 1
    assert "bench: the page must hold the lines" in refused.stderr


def test_rows_are_put_into_a_result_of_the_same_plan(tmp_path):
    output = tmp_path / "result.json"
    words = [*BRIEFLY, "--output", str(output), "--update", "--only"]
    assert bench(*words, "lock-memory").returncode == 0
    # A result from before there were these contestants and counts.
    older = json.loads(output.read_text(encoding="utf-8"))
    del older["versions"]["pottery"], older["plan"]["waiters"]
    output.write_text(json.dumps(older), encoding="utf-8")
    assert bench(*words, "memory").returncode == 0
    result = json.loads(output.read_text(encoding="utf-8"))
    assert list(result["rows"]) == ["memory", "lock-memory"]
    assert "pottery" in result["versions"]
    assert "waiters" in result["plan"]
    refused = bench(*words, "memory", "--rounds", "2")
    assert refused.returncode == 1
    assert "--update needs the same plan" in refused.stderr


def test_turns_that_overlapped_are_a_failure():
    """A lock that lets two in at once is found out."""
    planted = (
        "import contextlib\n"
        "from bench import lock_makers, lock_turns\n"
        "from bench.job import Job\n"
        "lock_makers.blocking = lambda job: contextlib.nullcontext(lambda name: lock_turns._NoLock())\n"
        "job = Job('lock_turns', 'turns', '', 0, None, 0.05, 0.2, users=4)\n"
        "lock_turns.run_turns(job)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", planted], cwd=TOP, capture_output=True, text=True, timeout=110, check=False
    )
    assert ran.returncode == 1
    assert "two processes held the lock at once" in ran.stderr


def test_a_result_names_no_machine(tmp_path):
    import platform

    output = tmp_path / "result.json"
    assert bench(*BRIEFLY, "--output", str(output), "--only", "memory").returncode == 0
    text = output.read_text(encoding="utf-8")
    assert platform.node() not in text.replace("redislock", "")
    assert str(TOP) not in text


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--duration", "-1"]])
def test_a_plan_that_makes_no_sense_is_refused(words):
    refused = bench("--quick", *words)
    assert refused.returncode == 1
    assert refused.stderr.startswith("bench: ")


def test_books_that_do_not_balance_are_a_failure(tmp_path):
    """A contestant that says ok more often than money was taken is reported, and the run fails."""
    if importlib.util.find_spec("redis") is None:
        pytest.skip("needs redis-py")
    planted = tmp_path / "planted.py"
    planted.write_text(
        "import sys\n"
        "from bench import cli, rounds\n"
        "honest = rounds.Course._run_worker\n"
        "def lie(self, job):\n"
        "    sample = honest(self, job)\n"
        "    sample.ok += 1\n"
        "    return sample\n"
        "rounds.Course._run_worker = lie\n"
        f"sys.exit(cli.main({[*BRIEFLY, '--only', 'sync']!r}))\n"
    )
    ran = subprocess.run(
        [sys.executable, str(planted)],
        cwd=TOP,
        env={"PYTHONPATH": str(TOP), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 1
    assert "answered ok, and" in ran.stderr
