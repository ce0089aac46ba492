"""`redislock compare` with lists, rounds, processes, checks and a baseline, end to end."""

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from redislock import _sweep, load
from redislock.cli import app
from redislock.cli._checks import Baseline

FAST = """{"statuses": {"ok": 1}, "throughput": "fast", "attempts": 1, "attempts_per_success": 1,
    "latency": {"p50": 1, "p95": 1, "p99": 1, "p999": 1, "max": 1}}"""
HOT = '{"users": 64, "keys": "hot", "accounts": 1}'
QUICK = ["--duration", "0.1", "--warmup", "0.02"]


@pytest.fixture(autouse=True)
def environment(monkeypatch, user):
    for name in ("REDIS_CONN", "MAX_RETRIES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEY_PREFIX", user)


def compare(*arguments):
    return CliRunner().invoke(app, ["compare", *arguments], prog_name="redislock")


def told_lines(done):
    """The lines that are printed as runs end."""
    return [line for line in done.stdout.splitlines() if " ok/s, " in line]


def run_to_json(server, *arguments, code=0):
    done = compare("--url", server.url, *QUICK, "--json", "-", *arguments)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def refusal(*arguments):
    done = compare(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("redislock: ")
    return line


# ---- the grid


def test_lists_span_a_grid_and_json_is_a_list_of_cells(server, raw, user):
    found = run_to_json(
        server, "--users", "1,4", "--accounts", "1,3", "--rtt", "0,0.5ms", "--strategies", "lua,watch"
    )
    assert "strategies" not in found
    assert found["settings"]["users"] == [1, 4]
    assert found["settings"]["rtt"] == [0, 0.0005]
    assert found["settings"]["keys"] == "uniform"  # accounts that are swept are used
    assert len(found["cells"]) == 8
    for cell in found["cells"]:
        assert list(cell["strategies"]) == ["lua", "watch"]
        assert cell["label"] == (load.NO_CONFLICT if cell["settings"]["users"] == 1 else None)
        for report in cell["strategies"].values():
            assert report["verdict"] == "held"
            for name in ("users", "accounts", "rtt"):
                assert report["settings"][name] == cell["settings"][name]
            assert report["latency"]["min"] >= cell["settings"]["rtt"]
    assert raw.keys(f"{user}*") == []


def test_one_cell_has_the_keys_that_it_always_had(server):
    found = run_to_json(server, "--users", "4", "--strategies", "lua")
    assert "cells" not in found
    assert found["settings"]["users"] == 4
    lua = found["strategies"]["lua"]
    assert "rounds" not in lua
    assert lua["round_trips"] == lua["statements"] == lua["statuses"]["ok"]


def test_rounds_take_turns_and_show_median_and_spread(server, tmp_path):
    out = tmp_path / "out.json"
    done = compare(
        "--url", server.url, *QUICK, "--users", "4,2", "--repeat", "3", "--strategies", "lua,lock",
        "--json", str(out),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    order = [line.split(": ")[0] for line in told_lines(done)]
    assert order == [
        f"{name}, {users} users, round {number} of 3"
        for users in (4, 2)
        for number in (1, 2, 3)
        for name in ("lua", "lock")
    ]
    for cell in json.loads(out.read_text(encoding="utf-8"))["cells"]:
        for report in cell["strategies"].values():
            rates = sorted(each["throughput"] for each in report["rounds"])
            assert report["throughput"] == rates[1]
            assert report["spread"]["throughput"] == [rates[0], rates[2]]
            p99 = sorted(each["latency"]["p99"] for each in report["rounds"])
            assert report["latency"]["p99"] == p99[1]
            assert report["statuses"]["ok"] == sum(each["statuses"]["ok"] for each in report["rounds"])
            assert report["latency"]["count"] == report["statuses"]["ok"]


def test_the_table_counts_round_trips_and_commands(server):
    done = compare("--url", server.url, *QUICK, "--users", "1", "--strategies", "lua,lock,watch")
    head, table = done.stdout.split("strategy", 1)
    assert "commands" in head.splitlines()[-1] + table
    rows = {line.split()[0]: line.split() for line in table.splitlines()[1:] if line.strip()}
    assert [rows[name][-4:-1] for name in ("lua",)] == [["1.00", "1.00", "1.00"]]
    assert rows["lock"][-3] == rows["watch"][-3] == "2.00"


def test_rows_whose_load_ran_out_of_money_are_marked(server):
    done = compare("--url", server.url, *QUICK, "--users", "1,2", "--strategies", "lua", "--balance", "10")
    assert done.exit_code == 0, done.output
    table = done.stdout.split("verdict", 1)[1]
    assert table.count("\nlua ! ") == 2
    assert "part of its load moved no money: insufficient" in table


def test_a_row_whose_accounts_went_missing_is_marked(server, raw, user):
    arguments = ["--url", server.url, "--duration", "2", "--warmup", "0", "--strategies", "lua"]
    with start(*arguments) as run:
        wait_for(lambda: raw.keys(f"{user}:load-*:history"))
        for key in raw.keys(f"{user}:load-*:balance"):
            raw.delete(key)
        out, err = run.communicate(timeout=30)
    assert run.returncode == 1, err
    assert "lua ! " in out
    assert "moved no money: missing" in out


def test_processes_share_the_load(server):
    found = run_to_json(server, "--users", "6", "--processes", "3", "--strategies", "lua,watch")
    assert found["settings"]["processes"] == 3
    for report in found["strategies"].values():
        assert report["verdict"] == "held"
        assert report["latency"]["count"] == report["statuses"]["ok"]


def test_an_open_loop_shows_both_latencies(server, tmp_path):
    out = tmp_path / "out.json"
    done = compare(
        "--url", server.url, "--duration", "0.5", "--warmup", "0.1", "--rate", "400", "--users", "8",
        "--processes", "2", "--strategies", "lua", "--json", str(out),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "open loop: 400 withdrawals" in done.stdout
    assert "p99 from" in done.stdout
    lua = json.loads(out.read_text(encoding="utf-8"))["strategies"]["lua"]
    assert lua["settings"]["rate"] == 400
    assert 0 < lua["service"]["p50"] <= lua["latency"]["p50"] * 1.01
    assert sum(lua["statuses"].values()) + lua["missed"] == pytest.approx(200, abs=20)


def test_csv_has_a_line_for_each_cell(server):
    done = compare("--url", server.url, *QUICK, "--users", "1,2", "--repeat", "2", "--csv", "-")
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["strategy"], row["users"]) for row in rows] == [
        (name, users) for users in ("1", "2") for name in load.STRATEGIES
    ]
    for row in rows:
        assert float(row["throughput_least"]) <= float(row["throughput"]) <= float(row["throughput_greatest"])
        assert 0 < float(row["p50"]) <= float(row["p999"]) <= float(row["max"])
        assert int(row["ok"]) > 0
        assert float(row["round_trips_per_ok"]) >= 1
    assert {row["verdict"] for row in rows if row["strategy"] != "naive"} == {"held"}


# ---- checks


@pytest.mark.parametrize(
    ("demands", "code"),
    [
        (["lua.p99<10s", "throughput>1", "lua.conflicts<=0", "attempts>=1", "p99.9 < 60 s"], 0),
        (["lua.p99<10s", "lua.p50<1us"], 1),
        (["throughput>100000000"], 1),
        (["watch.max>1000s"], 1),
    ],
)
def test_checks_set_the_exit_code(server, demands, code):
    arguments = [word for each in demands for word in ("--check", each)]
    done = compare("--url", server.url, *QUICK, "--users", "2", "--strategies", "lua,watch", *arguments)
    assert done.exit_code == code, done.output
    assert done.stdout.count(" holds: ") + done.stdout.count(" fails: ") == len(demands)
    assert (" fails: " in done.stdout) == (code == 1)


def test_a_check_holds_for_every_cell(server):
    # Two milliseconds are added to one of two cells only.
    done = compare(
        "--url", server.url, *QUICK, "--users", "1", "--rtt", "0,20ms", "--strategies", "lua",
        "--check", "p50<15ms",
    )  # fmt: skip
    assert done.exit_code == 1, done.output
    assert "p50<15ms fails: lua, 1 user, 1 account, 20 ms added: 2" in done.stdout


def test_a_check_of_what_was_never_ok_fails(server):
    done = compare("--url", server.url, *QUICK, "--strategies", "lua", "--balance", "0", "--check", "p99<1s")
    assert done.exit_code == 1, done.output
    assert "nothing was ok" in done.stdout


def test_a_baseline_is_held_against_each_cell(server, tmp_path):
    old = tmp_path / "old.json"
    arguments = ["--users", "1,2", "--strategies", "lua"]
    found = run_to_json(server, *arguments)
    for cell in found["cells"]:
        cell["strategies"]["lua"]["latency"]["p50"] *= 1000
    old.write_text(json.dumps(found), encoding="utf-8")
    demand = ["--baseline", str(old), "--fail", "p50:10%"]
    assert run_to_json(server, *arguments, *demand)["checks"] == [
        {"demand": "p50:10%", "held": True, "detail": "no worse"}
    ]
    found["cells"][1]["strategies"]["lua"]["latency"]["p50"] = 1e-9
    old.write_text(json.dumps(found), encoding="utf-8")
    [ruling] = run_to_json(server, *arguments, *demand, code=1)["checks"]
    assert not ruling["held"]
    assert ruling["detail"].startswith("lua, 2 users, 1 account, 0 added: 0.001 µs before, ")
    assert "1 user," not in ruling["detail"]


def test_a_baseline_may_be_older_than_sweeps(server, tmp_path):
    old = tmp_path / "old.json"
    found = run_to_json(server, "--users", "2", "--strategies", "lua")
    for name in ("rtt", "rate", "processes", "repeat"):
        del found["settings"][name]
    found["strategies"]["lua"]["throughput"] *= 1000
    old.write_text(json.dumps(found), encoding="utf-8")
    arguments = ["--users", "2,3", "--strategies", "lua", "--baseline", str(old)]
    [ruling] = run_to_json(server, *arguments, "--fail", "throughput:50%", code=1)["checks"]
    assert "before" in ruling["detail"]


# ---- refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--users", "1,0"], ["--users", "'0'"]),
        (["--users", ","], ["--users", "at least one"]),
        (["--users", ",".join(map(str, range(1, 1003)))], ["1002 settings are too many"]),
        (["--accounts", "1,x"], ["--accounts", "'x'"]),
        (["--rtt", "1"], ["--rtt", "unit", "'1'"]),
        (["--rtt", "0,2min"], ["--rtt", "'2min'"]),
        (["--rtt", "-1ms"], ["--rtt", "'-1ms'"]),
        (["--rtt", "5s"], ["--rtt", "less than --timeout"]),
        (["--repeat", "0"], ["--repeat"]),
        (["--processes", "0"], ["--processes"]),
        (["--processes", "4", "--users", "8,3"], ["--processes", "the least is 3"]),
        (["--processes", "4", "--count", "3"], ["--processes", "--count"]),
        (["--processes", "2", "--url", "memory://"], ["--processes", "memory://"]),
        (["--rate", "0"], ["--rate", "from 0.001"]),
        (["--rate", "fast"], ["--rate", "'fast'"]),
        (["--rate", "0.0001"], ["--rate", "from 0.001"]),
        (["--rate", "0.003", "--processes", "4"], ["--rate", "from 0.004"]),
        (["--rtt", "11s", "--timeout", "20"], ["--rtt", "at most 10 s"]),
        (["--check", "lua.p98<5ms"], ["--check", "lua.p99<5ms", "conflicts"]),
        (["--check", "lua.p99=5ms"], ["--check"]),
        (["--check", "lua.p99<5"], ["--check", "unit"]),
        (["--check", "throughput>5ms"], ["--check", "no unit"]),
        (["--check", "luna.p99<5ms"], ["--check", "luna is none of"]),
        (["--strategies", "lua", "--check", "watch.p99<5ms"], ["--check", "watch is none of lua"]),
        (["--fail", "p99:10%"], ["--fail", "--baseline"]),
        (["--baseline", "/nonexistent.json", "--fail", "p99:10%"], ["--baseline", "/nonexistent.json"]),
        (["--plot", "chart.gif"], ["--plot", ".png or .svg"]),
        (["--plot", "/nonexistent/chart.png"], ["--plot", "/nonexistent"]),
        (["--html", "/nonexistent/out.html"], ["--html", "/nonexistent"]),
        (["--html", "-"], ["--html"]),
        (["--csv", "/"], ["--csv", "folder"]),
        (["--csv", "-", "--json", "-"], ["--csv", "only one"]),
        (["--json", "/tmp/same", "--csv", "/tmp/../tmp/same"], ["--csv", "--json", "same file"]),
        (["--html", "/tmp/same.svg", "--plot", "/tmp/same.svg"], ["--plot", "--html", "same file"]),
    ],
)
def test_bad_input_is_told_before_anything_starts(arguments, words):
    told = refusal(*arguments)
    for word in words:
        assert word in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "not written by redislock compare"),
        ('{"cells": [{}]}', "not written by redislock compare"),
        (f'{{"settings": {HOT}, "strategies": {{"lua": {{}}}}}}', "not written by redislock compare"),
        (f'{{"settings": {HOT}, "strategies": {{"lua": {FAST}}}}}', "not written by redislock compare"),
    ],
)
def test_a_file_that_is_no_baseline_is_told(tmp_path, text, words):
    file = tmp_path / "old.json"
    file.write_text(text, encoding="utf-8")
    assert words in refusal("--baseline", str(file), "--fail", "p99:10%")


def test_a_baseline_of_rounds_is_compared_by_its_medians(server, tmp_path):
    # As a cell shows them; the sum of all rounds would say that there were more.
    old = run_to_json(server, "--users", "4", "--strategies", "watch", "--repeat", "3")
    for conflicts, each in zip((1, 1, 100), old["strategies"]["watch"]["rounds"], strict=True):
        each["statuses"] = {"ok": 100}
        each["attempts"] = 100 + conflicts * 100
    file = tmp_path / "old.json"
    file.write_text(json.dumps(old), encoding="utf-8")
    assert Baseline.read(str(file)).value(
        _sweep.Cell(_sweep.Setting(4), "watch"), "conflicts", {"keys": "hot", "rate": None}
    ) == pytest.approx(1)


def test_a_baseline_of_something_else_is_told(server, tmp_path):
    file = tmp_path / "old.json"
    file.write_text(json.dumps(run_to_json(server, "--users", "2", "--strategies", "lua")), encoding="utf-8")
    arguments = ["--baseline", str(file), "--users", "3"]
    assert "has no cell of this comparison" in refusal(*arguments, "--fail", "p99:10%")
    assert "--fail p99:10%" in refusal(*arguments)


# ---- Ctrl-C


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "redislock", "compare", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def wait_for(condition, seconds=20):
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it does not happen"
        time.sleep(0.01)


def test_ctrl_c_in_a_sweep_shows_what_was_seen_so_far(server, raw, user, tmp_path):
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    arguments = ["--url", server.url, "--users", "2,4", "--strategies", "lua,lock", "--warmup", "0.05"]
    arguments += ["--duration", "1", "--processes", "2", "--json", str(out), "--html", str(page)]
    arguments += ["--check", "lua.p99<10s"]
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(start(*arguments))
        seen = []
        for line in run.stdout:
            seen.append(line)
            if line.startswith("lock, 2 users"):
                break
        wait_for(lambda: raw.keys(f"{user}:load-*:history"))
        time.sleep(0.3)
        run.send_signal(signal.SIGINT)
        rest, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    assert "Traceback" not in err
    assert "ended early by Ctrl-C" in rest
    assert "lua.p99<10s holds" in rest
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["interrupted"]
    assert [list(cell["strategies"]) for cell in found["cells"]] == [["lua", "lock"], ["lua"]]
    assert found["cells"][1]["strategies"]["lua"]["verdict"] == "held"
    assert "Ended early" in page.read_text(encoding="utf-8")
    assert raw.keys(f"{user}*") == []


# ---- the grid itself


def test_the_plan_interleaves():
    one, two = _sweep.Setting(users=1), _sweep.Setting(users=2)
    runs = list(_sweep.plan([one, two], ["a", "b"], 2))
    assert [(run.setting.users, run.round, run.strategy) for run in runs] == [
        (1, 1, "a"), (1, 1, "b"), (1, 2, "a"), (1, 2, "b"),
        (2, 1, "a"), (2, 1, "b"), (2, 2, "a"), (2, 2, "b"),
    ]  # fmt: skip
