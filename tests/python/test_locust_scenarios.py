"""The bank's plan by Locust, in real runs: importing locust here would patch pytest."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import redislock

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed")

LOCUSTFILE = Path(__file__).parents[2] / "locust" / "bank.py"


@pytest.fixture
def play(server, user):
    def play(*arguments, seconds=60, users=32):
        return subprocess.run(
            [
                *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless"),
                *("-u", str(users), "-r", str(users), "-t", f"{seconds}s", *arguments),
            ],
            env={**os.environ, "REDIS_CONN": server.url, "KEY_PREFIX": user, "MAX_RETRIES": ""},
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
