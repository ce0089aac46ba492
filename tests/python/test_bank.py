"""The bank: its plan, the command `redislock bank`, and the check for any callable."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

import redislock
import redislock.asyncio
from redislock import sql
from redislock.cli import app
from redislock.scenarios import bank
from redislock.scenarios.plan import BUILT_IN, Batch, Plan, PlannedUser, read_plan
from redislock.testing import BankFailedError, check_bank, check_bank_async

SAFE = ["lua", "lock", "watch"]
ENDS = {"1": 1500, "2": 1250, "3": 1000}


@pytest.fixture(autouse=True)
def environment(monkeypatch, user):
    for name in ("REDIS_CONN", "MAX_RETRIES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEY_PREFIX", user)


@pytest.fixture
def plan_file(tmp_path):
    path = tmp_path / "plan.toml"

    def write(text):
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def run(*arguments):
    return CliRunner().invoke(app, ["bank", *arguments], prog_name="redislock")


def sentence(done, code=2):
    """The one sentence of a refusal."""
    assert done.exit_code == code, done.output
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("redislock: ")
    return lines[0]


# ---- the plan


def test_the_built_in_plan_ends_as_everybody_expects():
    assert {each.name: each.end for each in BUILT_IN.users} == ENDS
    assert all(each.start == 1000 for each in BUILT_IN.users)
    assert len(BUILT_IN.operations()) == 600
    assert BUILT_IN.operations() == BUILT_IN.operations()
    assert str(BUILT_IN) == "600 operations of 3 users"


def test_a_plan_is_read_from_toml(plan_file):
    path = plan_file("""
        [[user]]
        name = "alice"
        start = 10
        deposits = [{ count = 2, amount = 7 }, { count = 1, amount = 1 }]
        withdrawals = [{ count = 5, amount = 2 }]

        [[user]]
        name = 7
        start = 0
        """)
    assert read_plan(path) == Plan(
        (PlannedUser("alice", 10, (Batch(2, 7), Batch(1, 1)), (Batch(5, 2),)), PlannedUser("7", 0))
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[user", "it is no TOML"),
        ("", r"a plan is a list of \[\[user\]\] tables"),
        ("user = 3", r"a plan is a list of \[\[user\]\] tables"),
        ("[[users]]\nname = 'a'", "a plan: users is none of user"),
        ("[[user]]\nstart = 3", "needs a name"),
        ("[[user]]\nname = ''\nstart = 3", "empty name"),
        ("[[user]]\nname = 'a'", "user a: start is missing"),
        ("[[user]]\nname = 'a'\nstart = -1", "user a: start must be a whole number from 0"),
        ("[[user]]\nname = 'a'\nstart = 1.5", "user a: start must be a whole number"),
        ("[[user]]\nname = 'a'\nstart = 1\ndeposit = []", "user a: deposit is none of name, start"),
        ("[[user]]\nname = 'a'\nstart = 1\ndeposits = 3", "user a: deposits must be a list like"),
        (
            "[[user]]\nname = 'a'\nstart = 1\ndeposits = [{count = 1}]",
            "user a, deposits: amount is missing",
        ),
        (
            "[[user]]\nname = 'a'\nstart = 1\ndeposits = [{count = 1, amount = 0}]",
            "user a, deposits: amount must be a whole number from 1",
        ),
        (
            "[[user]]\nname = 'a'\nstart = 4\nwithdrawals = [{count = 5, amount = 1}]",
            "withdrawals of 5 may find too little in 4",
        ),
        (
            "[[user]]\nname = 'a'\nstart = 9223372036854775807\ndeposits = [{count = 1, amount = 1}]",
            "are above 9223372036854775807",
        ),
        ("[[user]]\nname = 'a'\nstart = 1\n[[user]]\nname = 'a'\nstart = 1", "user a is there twice"),
        ("[[user]]\nname = 'a'\nstart = 1", "from 1 to 1000000 operations, not 0"),
        (
            "[[user]]\nname=1\nstart=1\ndeposits=[{count=1000000, amount=1}, {count=1, amount=1}]",
            "from 1 to 1000000 operations, not 1000001",
        ),
    ],
)
def test_what_is_wrong_with_a_plan_file_is_said(plan_file, text, why):
    with pytest.raises(ValueError, match=why):
        read_plan(plan_file(text))


# ---- the run


@pytest.mark.parametrize("strategy", SAFE)
def test_safe_strategies_come_out_right(server, user, strategy):
    for _ in range(10):
        report = bank.run(server.url, strategy=strategy, prefix=user)
        assert report, str(report)
        assert report.overlap > 1
    with redislock.Client(server.url, prefix=user) as client:
        assert {name: client.balance(name) for name in ENDS} == ENDS


@pytest.mark.parametrize("strategy", SAFE)
def test_in_memory_too(strategy):
    assert bank.run("memory://", strategy=strategy)


@pytest.mark.parametrize("strategy", ["for_update", "version", "atomic", "serializable"])
def test_the_strategies_of_sql_come_out_right(postgres, strategy):
    for _ in range(3):
        report = bank.run(postgres.url, strategy=strategy)
        assert report, str(report)
    with sql.Client(postgres.url) as client:
        assert {name: client.balance(name) for name in ENDS} == ENDS


@pytest.mark.parametrize("strategy", ["version", "atomic"])
def test_on_sqlite_too(tmp_path, strategy):
    assert bank.run(f"sqlite:///{tmp_path}/bank.db", strategy=strategy)


def test_naive_fails_on_postgres(postgres):
    report = bank.run(postgres.url, strategy="naive")
    assert not report
    assert report.lost > 0


@pytest.mark.parametrize("url", ["server", "memory://"])
def test_naive_fails(server, user, url):
    report = bank.run(server.url if url == "server" else url, strategy="naive", prefix=user)
    assert not report
    assert report.word == "FAIL"
    assert report.ok == 600
    assert report.lost > 0
    assert "updates were lost" in report.why()


def test_a_run_in_which_nothing_raced_is_repeated_and_no_success():
    one = Plan((PlannedUser("1", 5, (Batch(1, 2),)),))
    seen = []
    report = bank.run("memory://", strategy="naive", plan=one, on_repeat=seen.append)
    assert [each.runs for each in seen] == [1, 2, 3, 4]
    assert report.right
    assert not report
    assert report.why() == "nothing raced in 5 runs, so that nothing was shown"
    assert not bank.run("memory://", strategy="lua", plan=one)


def test_a_server_that_goes_away_is_a_fault_with_what_was_seen(start_server):
    mortal = start_server()
    big = Plan((PlannedUser("1", 10**6, (Batch(100_000, 1),), (Batch(100_000, 1),)),))
    killer = threading.Timer(0.3, mortal.kill)
    killer.start()
    with pytest.raises(redislock.Error) as raised:
        bank.run(mortal.url, strategy="lua", plan=big, timeout=0.8)
    killer.join()
    assert 0 < raised.value.report.ok < 200_000
    assert not raised.value.report


def test_no_such_strategy():
    with pytest.raises(ValueError, match=r"must be lua, lock, .* or naive, not 'sql'"):
        bank.run("memory://", strategy="sql")
    with pytest.raises(ValueError, match="version needs a SQL database"):
        bank.run(strategy="version")


# ---- the command


def test_the_command_succeeds_on_a_server_of_its_own():
    done = run("--strategy", "lua")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "-server" in lines[0]
    assert "private" in lines[0]
    assert lines[1] == "bank by lua: 600 operations of 3 users at once"
    assert [line.split() for line in lines[2:6]] == [
        ["user", "start", "deposits", "withdrawals", "expected", "actual"],
        ["1", "1000", "100", "of", "10", "100", "of", "5", "1500", "1500"],
        ["2", "1000", "50", "of", "20", "50", "of", "15", "1250", "1250"],
        ["3", "1000", "200", "of", "1", "100", "of", "2", "1000", "1000"],
    ]
    assert lines[-1] == "SUCCESS: every account holds what the plan says, whatever the order was"


def test_the_command_fails_with_naive(server, raw, user):
    done = run("--strategy", "naive", "--url", server.url)
    assert done.exit_code == 1, done.output
    assert done.stdout.splitlines()[-1].startswith("FAIL: user ")


def test_the_command_says_that_nothing_raced(plan_file):
    path = plan_file("[[user]]\nname = 'a'\nstart = 1\ndeposits = [{count = 1, amount = 1}]")
    done = run("--strategy", "naive", "--url", "memory://", "--plan", path)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0] == (
        "redislock: run 1: nothing raced, so that nothing was shown; the plan is played again"
    )
    assert "SUCCESS" not in done.stdout


def test_json_for_programs(server):
    done = run("--strategy", "watch", "--url", server.url, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["verdict"] == "SUCCESS"
    assert {each["user"]: each["actual"] for each in found["users"]} == ENDS
    assert found["server"]["url"].startswith(server.url)


def test_reset_only_sets_the_balances(server, user):
    with redislock.Client(server.url, prefix=user) as client:
        client.init("1", 5)
        client.init("4", 5)
        done = run("--reset", "--url", server.url)
        assert done.exit_code == 0, done.output
        assert done.stdout.splitlines()[1:] == ["user 1: 1000", "user 2: 1000", "user 3: 1000"]
        assert [client.balance(each) for each in "1234"] == [1000, 1000, 1000, 5]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "'--strategy': is missing; name lua, lock, watch, for_update, version, atomic"),
        (["--strategy", "sql"], "serializable or naive, not 'sql'"),
        (["--strategy", "lua", "--url", "postgresql://x/y"], "there is no lua on PostgreSQL"),
        (["--strategy", "for_update", "--url", "redis://x"], "there is no for_update on Redis"),
        (["--strategy", "for_update", "--url", "sqlite:///x"], "there is no for_update on SQLite"),
        (["--strategy", "version", "--url", "sqlite:///"], "an SQLite URL names a file"),
        (["--strategy", "lua", "--plan", "/nowhere"], "/nowhere: No such file or directory"),
        (["--strategy", "lua", "--plan", "/"], "Is a directory"),
        (["--strategy", "lua", "--timeout", "0"], "must be a number of seconds above 0"),
        (["--strategy", "lua", "--url", "http://x"], "the URL's scheme must be"),
        (["--strategy", "atomic", "--url", "mysql://x/y"], "the URL's scheme must be"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, why):
    assert why in sentence(run(*arguments))


def test_an_unreachable_server_is_a_fault():
    assert "cannot connect" in sentence(run("--strategy", "lua", "--url", "redis://127.0.0.1:1"), 3)


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "redislock", "bank", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_ctrl_c_tells_what_happened_so_far(server, user, plan_file):
    path = plan_file("""
        [[user]]
        name = "1"
        start = 1000000
        deposits = [{ count = 200000, amount = 1 }]
        withdrawals = [{ count = 200000, amount = 1 }]
        """)
    with command("--strategy", "lua", "--url", server.url, "--plan", path) as running:
        running.stdout.readline()
        assert running.stdout.readline().startswith("bank by lua")
        with redislock.Client(server.url, prefix=user) as client:
            while client.balance("1") in {None, 1_000_000} and running.poll() is None:
                time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert running.returncode == 130, out + err
    assert re.search(r"FAIL: ended early by Ctrl-C after \d+ of 400000 operations", out)
    assert "Traceback" not in err


def test_keep_leaves_the_server_running(monkeypatch):
    with command("--strategy", "lua", "--keep") as running:
        out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    lines = [line.strip() for line in out.splitlines()]
    at = lines.index("kept running; reach and stop it with:")
    reach, export, stop = lines[at + 1 :]
    pid = int(stop.removeprefix("kill "))
    try:
        assert re.match(r"(redis|valkey)-cli -s /\S+", reach)
        # Another private server sweeps what is left behind: this one is not.
        assert run("--strategy", "lua").exit_code == 0
        url = export.removeprefix("export REDIS_CONN=")
        with redis.Redis(unix_socket_path=url.removeprefix("unix://")) as outside:
            assert outside.keys(f"{os.environ['KEY_PREFIX']}:{{1}}:balance")
    finally:
        os.kill(pid, signal.SIGTERM)


def test_a_strategy_of_sql_starts_a_database_of_its_own():
    with command("--strategy", "for_update", "--keep") as running:
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    lines = [line.strip() for line in out.splitlines()]
    assert "PostgreSQL" in lines[0]
    at = lines.index("kept running; reach and stop it with:")
    reach, stop = lines[at + 1 :]
    pid = int(stop.removeprefix("kill -INT "))
    try:
        assert "psql" in reach
        url = shlex.split(reach)[1]
        with sql.Client(url) as client:
            assert client.balance("1") == 1500
    finally:
        os.kill(pid, signal.SIGINT)


# ---- any callable


class Till:
    """Accounts in a dict, as somebody might write them."""

    def __init__(self, *, safe):
        self.accounts = {}
        self._lock = threading.Lock() if safe else None

    def init(self, user, balance):
        self.accounts[user] = balance

    def balance(self, user):
        return self.accounts.get(user)

    def delete(self, user):
        del self.accounts[user]

    def add(self, user, amount):
        if self._lock is None:
            self._add(user, amount)
        else:
            with self._lock:
                self._add(user, amount)

    def take(self, user, amount):
        self.add(user, -amount)
        return True

    def _add(self, user, amount):
        seen = self.accounts[user]
        time.sleep(0)
        self.accounts[user] = seen + amount


def test_any_callable_that_is_right():
    till = Till(safe=True)
    report = check_bank(till.take, till.add, bank=till)
    assert report
    assert {each.planned.name: each.actual for each in report.users} == ENDS
    assert till.accounts == {}


def test_any_callable_that_loses():
    till = Till(safe=False)

    def slow_take(user, amount):
        seen = till.accounts[user]
        time.sleep(0.0005)
        till.accounts[user] = seen - amount

    with pytest.raises(BankFailedError, match="updates were lost") as raised:
        check_bank(slow_take, till.add, bank=till)
    assert raised.value.report.ok == 600


def test_a_client_from_threads(server, user):
    with redislock.Client(server.url, prefix=user) as client:
        report = check_bank(client.withdraw_lua, client.deposit, bank=client)
    assert report.name == "Client.withdraw_lua"


def test_coroutine_functions(server, user):
    with redislock.Client(server.url, prefix=user) as books:
        client = redislock.asyncio.Client(server.url, prefix=user)

        async def both():
            async with client:
                return await check_bank_async(client.withdraw_lua, client.deposit, bank=books, at_once=64)

        assert asyncio.run(both()).overlap > 1
        with pytest.raises(BankFailedError):
            check_bank(client.withdraw_naive, client.deposit_naive, bank=books, at_once=64)


def test_what_raises_is_no_success():
    till = Till(safe=True)

    def fail(user, amount):
        raise OSError("no")

    with pytest.raises(BankFailedError, match="OSError, 250 times: no"):
        check_bank(fail, till.add, bank=till)


def test_one_at_a_time_shows_nothing():
    till = Till(safe=False)
    with pytest.raises(BankFailedError, match="nothing raced in 5 runs"):
        check_bank(till.take, till.add, bank=till, at_once=1)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"withdraw": 3}, "withdraw must be a callable"),
        ({"plan": {}}, "plan must be a Plan"),
        ({"at_once": 0}, "at_once must be from 1"),
        ({"at_once": 2.0}, "at_once must be an int"),
        ({"timeout": 0}, "timeout must be a positive"),
    ],
)
def test_wrong_arguments_of_the_check(wrong, why):
    till = Till(safe=True)
    with pytest.raises((TypeError, ValueError), match=why):
        check_bank(**{"withdraw": till.take, "deposit": till.add, "bank": till, **wrong})


def test_the_snippet_of_the_page(server, user):
    page = Path(__file__).parents[2] / "docs" / "scenarios.md"
    (code,) = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names = {}
    exec(code, names)
    with redislock.Client(server.url, prefix=user) as client:
        names["test_the_till"](client)


def test_the_plan_of_the_page(plan_file):
    page = Path(__file__).parents[2] / "docs" / "scenarios.md"
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert [each.end for each in read_plan(plan_file(text)).users] == [2000]


def test_a_long_run_shows_how_far_it_has_got(tmp_path, server, user, monkeypatch):
    monkeypatch.setenv("KEY_PREFIX", user)
    plan = tmp_path / "plan.toml"
    plan.write_text("""
[[user]]
name = "1"
start = 1000000
deposits = [{ count = 600000, amount = 1 }]
""")
    ended = CliRunner().invoke(
        app, ["bank", "--strategy", "lock", "--url", server.url, "--plan", str(plan), "--timeout", "3"]
    )
    assert re.search(r"^[\d,]+ of 600,000 operations, [\d,]+ a second$", ended.stdout, re.MULTILINE), (
        ended.output
    )
