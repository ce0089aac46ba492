"""The bank's plan and the flash sale by Locust, in real runs: importing locust here would patch pytest."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import redislock

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed")

LOCUST = Path(__file__).parents[2] / "locust"


@pytest.fixture
def play(server, user):
    def play(*arguments, seconds=60, users=32, locustfile="bank.py", url=server.url):
        return subprocess.run(
            [
                *(sys.executable, "-m", "locust", "-f", str(LOCUST / locustfile), "--headless"),
                *("-u", str(users), "-r", str(users), "-t", f"{seconds}s", *arguments),
            ],
            env={**os.environ, "REDIS_CONN": url, "KEY_PREFIX": user, "MAX_RETRIES": ""},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return play


@pytest.mark.parametrize(
    "arguments",
    [["--strategy", "lua"], ["--strategy", "watch"], ["--strategy", "lock", "--processes", "2"]],
    ids=["lua", "watch", "lock, two processes"],
)
def test_the_plan_comes_out_right_and_the_run_ends_by_itself(server, user, play, arguments):
    done = play(*arguments)
    assert done.returncode == 0, done.stderr
    assert "SUCCESS: every account holds what the plan says" in done.stderr
    assert "600 of 600 operations ok" in done.stderr
    assert "money: held" in done.stderr
    assert "Traceback" not in done.stderr
    with redislock.Client(server.url, prefix=user) as client:
        assert [client.balance(each) for each in "123"] == [1500, 1250, 1000]


def test_naive_fails(play):
    done = play("--strategy", "naive")
    assert done.returncode == 1, done.stderr
    assert "FAIL: user " in done.stderr


def test_one_user_shows_nothing(play):
    done = play("--strategy", "naive", users=1)
    assert done.returncode == 1, done.stderr
    assert "FAIL: nothing raced, so that nothing was shown" in done.stderr


def test_a_run_that_is_too_short_is_no_success(play, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        "[[user]]\nname = 'a'\nstart = 0\ndeposits = [{ count = 1000000, amount = 1 }]", encoding="utf-8"
    )
    done = play("--plan", str(plan), seconds=1)
    assert done.returncode == 1, done.stderr
    assert "FAIL: user a holds" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--strategy", "sql"], "--strategy (STRATEGY) must be one of lua, lock, watch, naive, not 'sql'"),
        (["--plan", "/nowhere"], "--plan (PLAN): /nowhere: No such file or directory"),
    ],
)
def test_wrong_arguments_get_one_sentence(play, arguments, why):
    done = play(*arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"redislock: {why}"


# ---- the flash sale


@pytest.mark.parametrize(
    "arguments",
    [["--strategy", "lua"], ["--strategy", "lock"], ["--strategy", "watch", "--processes", "2"]],
    ids=["lua", "lock", "watch, two processes"],
)
def test_ten_pieces_are_sold_once(server, user, play, arguments):
    done = play(*arguments, locustfile="flash_sale.py")
    assert done.returncode == 0, done.stderr
    assert "total         10      30" in done.stderr
    assert "SUCCESS" in done.stderr
    assert "Traceback" not in done.stderr
    with redislock.Client(server.url, prefix=user) as client:
        assert client.stock("flash-sale").level() == 0
        assert client.stock("flash-sale").backlog() == 10


def test_naive_oversells(play):
    done = play("--strategy", "naive", "--stock", "20", locustfile="flash_sale.py")
    assert done.returncode == 1, done.stderr
    assert "FAIL: OVERSOLD" in done.stderr


def test_a_limit_for_each_customer(play):
    done = play("--stock", "100", "--per-user-limit", "1", locustfile="flash_sale.py")
    assert done.returncode == 0, done.stderr
    assert "total         20      20" in done.stderr


def test_a_wrong_number_gets_one_sentence(play):
    done = play("--orders", "0", locustfile="flash_sale.py")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "redislock: --orders (ORDERS) must be a whole number from 1"
    )


@pytest.mark.parametrize("locustfile", ["bank.py", "flash_sale.py"])
def test_a_server_that_is_not_there_ends_the_run(play, locustfile):
    done = play("--strategy", "lua", locustfile=locustfile, users=4, url="redis://127.0.0.1:1")
    assert done.returncode != 0
    assert "cannot begin: cannot connect to 127.0.0.1:1" in done.stderr
    assert "Uncaught exception in event handler" not in done.stderr
