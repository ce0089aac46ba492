"""The Locust user and the locustfile, in real runs: importing locust here would patch pytest."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import redislock

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed")

LOCUSTFILE = Path(__file__).parents[2] / "locust" / "locustfile.py"
STRATEGIES = ("withdraw_lua", "withdraw_lock", "withdraw_watch")
OURS = (
    "REDIS_CONN",
    "KEY_PREFIX",
    "MAX_RETRIES",
    "INIT_BALANCE",
    "USER_ID",
    "WITHDRAW_AMOUNT",
    "AMOUNT_JITTER",
)


def environment(**wanted):
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**kept, **{name: str(value) for name, value in wanted.items()}}


class Run:
    """How a run of Locust ended."""

    def __init__(self, done):
        self.code = done.returncode
        self.log = done.stderr
        begin = done.stdout.find("[\n")
        entries = json.loads(done.stdout[begin:]) if begin >= 0 else []
        self.requests = {entry["name"]: entry["num_requests"] for entry in entries}
        self.failures = {entry["name"]: entry["num_failures"] for entry in entries}
        self.timeless = {entry["name"]: entry["num_none_requests"] for entry in entries}

    def ok(self, name):
        return self.requests.get(name, 0) - self.failures.get(name, 0)

    def table(self):
        """The report's own table: outcomes and percentiles by request."""
        lines = self.log.splitlines()
        begin = next(at for at, line in enumerate(lines) if re.match(r"redislock  .* p99\.9 +max$", line))
        head = lines[begin].split()
        rows = {}
        for line in lines[begin + 1 :]:
            if line.startswith("Times:"):
                return rows
            name, *cells = line.replace(",", "").split()
            rows[name] = dict(zip(head[1:], map(float, cells), strict=True))
        raise AssertionError(self.log)


def run_locust(*arguments, locustfile=LOCUSTFILE, users=8, seconds=1, **variables):
    return Run(
        subprocess.run(
            [
                *(sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--json"),
                *("-u", str(users), "-r", str(users), "-t", f"{seconds}s"),
                *arguments,
            ],
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    )


def run_program(text, **variables):
    """Run a program that uses Locust as a library and return what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", text],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def balance_of(server, user):
    with redislock.Client(server.url) as client:
        return client.balance(user)


def once_under_way(server, user, start, act):
    """Do something to the server once withdrawals from the account have begun."""

    def watch():
        give_up = time.monotonic() + 60
        while (balance_of(server, user) or start) > start - 30 and time.monotonic() < give_up:
            time.sleep(0.05)
        act()

    watcher = threading.Thread(target=watch)
    watcher.start()
    return watcher


# --- the locustfile --------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--processes", "2")], ids=["one process", "two"])
def test_a_healthy_run_ends_with_0_and_loses_no_money(server, user, arguments):
    users, start = 8, 10_000_000
    run = run_locust(
        *arguments, users=users, seconds=2, REDIS_CONN=server.url, USER_ID=user, INIT_BALANCE=start
    )
    assert run.code == 0, run.log
    assert "Traceback" not in run.log
    assert set(run.requests) == {*STRATEGIES, "balance", "health"}
    assert all(run.ok(name) > 0 for name in run.requests)
    table = run.table()
    assert {name: row["ok"] for name, row in table.items()} == {name: run.ok(name) for name in run.requests}
    for row in table.values():
        assert 0 < row["p50"] <= row["p95"] <= row["p99"] <= row["p99.9"] <= row["max"]
    assert table["withdraw_lua"]["p50"] % 1 > 0  # Locust's own are whole milliseconds
    assert sum(run.timeless.values()) == sum(row.get("stopped", 0) for row in table.values())
    assert "money: held" in run.log
    taken = 3 * sum(run.ok(name) for name in STRATEGIES)
    # What was under way at the end may have been applied: at most one withdrawal a user.
    assert start - taken - 3 * users <= balance_of(server, user) <= start - taken


def test_what_was_cut_off_at_the_end_is_unknown_and_fails_no_run(start_server, user):
    server, users, start = start_server(port=0), 8, 10_000_000
    freezer = once_under_way(server, user, start, lambda: os.kill(server.pid, signal.SIGSTOP))
    url = f"{server.url}?timeout=60"  # nothing is given up before the end of the run

    def thaw():  # the books are read when the users have been stopped
        freezer.join()
        time.sleep(6)
        os.kill(server.pid, signal.SIGCONT)

    thawer = threading.Thread(target=thaw)
    thawer.start()
    try:
        run = run_locust(users=users, seconds=3, REDIS_CONN=url, USER_ID=user, INIT_BALANCE=start)
    finally:
        thawer.join()
    assert run.code == 0, run.log
    assert "Traceback" not in run.log
    assert "StoppedError('the user was stopped before the answer came')" in run.log
    assert 1 <= sum(run.timeless[name] for name in STRATEGIES) <= users  # reported without a time
    assert re.search(r"money: held, [1-8] unknown", run.log)
    taken = 3 * sum(run.ok(name) for name in STRATEGIES)
    assert start - taken - 3 * users <= balance_of(server, user) <= start - taken


def test_a_tag_isolates_a_strategy(server, user):
    run = run_locust("--tags", "lock", REDIS_CONN=server.url, USER_ID=user)
    assert run.code == 0, run.log
    assert set(run.requests) == {"withdraw_lock"}


def test_greenlets_race_each_other_and_lost_races_fail_requests_but_not_the_run(server, user):
    run = run_locust("--tags", "watch", REDIS_CONN=server.url, USER_ID=user, MAX_RETRIES=0)
    assert run.failures["withdraw_watch"] > 0  # a client that blocks its hub would show none
    assert run.ok("withdraw_watch") > 0
    assert run.code == 0, run.log


def test_host_comes_before_redis_conn(server, user):
    arguments = ("--tags", "lua", "--host", server.url)
    run = run_locust(*arguments, REDIS_CONN="redis://127.0.0.1:1", USER_ID=user)
    assert run.code == 0, run.log
    assert run.ok("withdraw_lua") > 0


def test_prefix_amount_and_jitter(server, user):
    run = run_locust(
        *("--tags", "lua"),
        REDIS_CONN=server.url,
        USER_ID=user,
        KEY_PREFIX="swarm",
        INIT_BALANCE=10_000_000,
        WITHDRAW_AMOUNT=2,
        AMOUNT_JITTER=4,
    )
    assert run.code == 0, run.log
    assert balance_of(server, user) is None
    with redislock.Client(server.url, prefix="swarm") as client:
        taken = {entry.amount for entry in client.history(user)}
    assert taken == {1, 2, 3, 4, 5, 6}  # 2 ± 4, at least 1


def test_an_argument_comes_before_its_environment_variable(server, user):
    arguments = ("--tags", "lua", "--user-id", user, "--withdraw-amount", "7", "--init-balance", "10000000")
    run = run_locust(*arguments, REDIS_CONN=server.url, USER_ID="nobody", WITHDRAW_AMOUNT=1, INIT_BALANCE=1)
    assert run.code == 0, run.log
    with redislock.Client(server.url) as client:
        assert {entry.amount for entry in client.history(user)} == {7}
        assert client.balance("nobody") is None


@pytest.mark.parametrize("arguments", [(), ("--processes", "2")], ids=["one process", "two"])
def test_money_lost_by_a_naive_user_ends_with_1(server, user, tmp_path, arguments):
    locustfile = tmp_path / "naive.py"
    locustfile.write_text(
        "from locust import task\n"
        "from redislock.locust import RedisLockUser\n"
        "class Naive(RedisLockUser):\n"
        "    @classmethod\n"
        "    def accounts(cls, environment):\n"
        f"        return {{{user!r}: 10_000_000}}\n"
        "    @task\n"
        "    def take(self):\n"
        f"        self.client.withdraw_naive({user!r}, 3)\n"
    )
    run = run_locust(*arguments, locustfile=locustfile, REDIS_CONN=server.url)
    assert run.code == 1, run.log
    assert re.search(rf"money: lost \d+: account {user}: \d+ were paid out and never deducted", run.log)
    assert not any(run.failures[name] - run.timeless[name] for name in run.failures)  # all looked well


def test_without_init_balance_a_balance_stays_and_an_empty_account_is_no_failure(server, user):
    with redislock.Client(server.url) as client:
        client.init(user, 2)
    run = run_locust("--tags", "lua", REDIS_CONN=server.url, USER_ID=user)
    assert run.code == 0, run.log
    assert run.ok("withdraw_lua") > 0
    assert balance_of(server, user) == 2  # less than 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INIT_BALANCE", "-1"),
        ("INIT_BALANCE", "a lot"),
        ("WITHDRAW_AMOUNT", "0"),
        ("WITHDRAW_AMOUNT", "2.5"),
        ("WITHDRAW_AMOUNT", str(2**63)),
        ("AMOUNT_JITTER", "±1"),
        ("MAX_RETRIES", "often"),
        ("REDIS_CONN", "redis://localhost:port"),
        ("REDIS_CONN", "http://localhost"),
    ],
)
def test_an_environment_variable_that_does_not_parse(name, value):
    run = run_locust(**{name: value})
    assert run.code in (1, 2)
    told = [line for line in run.log.splitlines() if line.startswith("redislock: ")]
    assert len(told) == 1
    assert name in told[0]
    assert "Traceback" not in run.log


def test_a_host_that_is_no_url_of_ours():
    run = run_locust("--host", "http://localhost:8089")
    assert run.code == 2
    assert "redislock: --host: " in run.log
    assert "Traceback" not in run.log


@pytest.mark.parametrize(
    ("base", "body", "words"),
    [
        (
            "RedisLockUser",
            'accounts = classmethod(lambda cls, _: {"a": -5})',
            "Wrong.accounts: the balance of a",
        ),
        ("RedisLockUser", 'accounts = classmethod(lambda cls, _: {"a": "5"})', "not '5'"),
        ("RedisLockUser", 'accounts = classmethod(lambda cls, _: {"": 5})', "user must not be empty"),
        (
            "RedisLockUser",
            'accounts = classmethod(lambda cls, _: ["a"])',
            "Wrong.accounts must return a mapping",
        ),
        (
            "RedisLockUser",
            'failure_statuses = {"konflict"}',
            "Wrong.failure_statuses: konflict is none of ok,",
        ),
        ("RedisLockSwarmUser", 'strategy = "sql"', "strategy must be one of"),
        ("RedisLockSwarmUser", 'keys = "cold"', "keys must be one of"),
        ("RedisLockSwarmUser", "accounts = classmethod(lambda cls, _: {})", "accounts must be at least 1"),
    ],
)
def test_a_class_that_cannot_work_is_told_before_anything_starts(tmp_path, base, body, words):
    locustfile = tmp_path / "wrong.py"
    locustfile.write_text(
        "from locust import task\n"
        f"from redislock.locust import {base}\n"
        f"class Wrong({base}):\n"
        f"    {body}\n"
        "    @task\n"
        "    def do(self):\n"
        "        self.client.health()\n",
        encoding="utf-8",
    )
    run = run_locust(locustfile=locustfile, users=1)
    assert run.code == 2
    (told,) = [line for line in run.log.splitlines() if line.startswith("redislock: ")]
    assert words in told
    assert "Traceback" not in run.log


def test_a_password_is_not_told():
    run = run_locust("--host", "redis://:s3same@localhost:port")
    assert run.code == 2
    assert "s3same" not in run.log


# --- faults ----------------------------------------------------------------------------------


def test_nobody_listens():
    run = run_locust("--host", "redis://127.0.0.1:1", users=2)
    assert run.code == 1
    assert set(run.failures) == {*STRATEGIES, "balance", "health"}
    assert run.failures == run.requests
    assert "the account 123 could not be opened: cannot connect to 127.0.0.1:1" in run.log
    assert "Traceback" not in run.log


def test_the_server_dies_in_mid_run(start_server, user):
    server, start = start_server(port=0), 10_000_000
    killer = once_under_way(server, user, start, server.kill)
    try:
        run = run_locust("--tags", "lua", seconds=3, REDIS_CONN=server.url, USER_ID=user, INIT_BALANCE=start)
    finally:
        killer.join()
    assert run.code == 1
    assert run.ok("withdraw_lua") > 0
    assert run.failures["withdraw_lua"] > 0
    assert "Traceback" not in run.log


def test_a_missing_account_fails_the_run(server, user, tmp_path):
    locustfile = tmp_path / "lost.py"
    locustfile.write_text(
        "from locust import task\n"
        "from redislock.locust import RedisLockUser\n"
        "class Lost(RedisLockUser):\n"
        "    @task\n"
        "    def look(self):\n"
        f"        assert self.client.balance({user!r}) is None\n"
        f"        assert self.client.withdraw_lua({user!r}, 1).status == 'missing'\n"
    )
    run = run_locust(locustfile=locustfile, users=1, REDIS_CONN=server.url)
    assert run.code == 1
    assert run.failures["balance"] == run.requests["balance"] > 0
    assert run.failures["withdraw_lua"] == run.requests["withdraw_lua"] > 0
    assert "Traceback" not in run.log


def test_an_account_that_a_user_resets_is_not_judged(server, user, tmp_path):
    locustfile = tmp_path / "reset.py"
    locustfile.write_text(
        "from locust import task\n"
        "from redislock.locust import RedisLockUser\n"
        "class Resetting(RedisLockUser):\n"
        "    @classmethod\n"
        "    def accounts(cls, environment):\n"
        f"        return {{{user!r}: 100}}\n"
        "    @task\n"
        "    def set(self):\n"
        f"        self.client.init({user!r}, 7)\n"
    )
    run = run_locust(locustfile=locustfile, users=1, REDIS_CONN=server.url)
    assert run.code == 0, run.log
    assert f"the account {user} was reset by a user: its books are not judged" in run.log
    assert "money:" not in run.log


# --- the user, with Locust as a library ------------------------------------------------------

PROGRAM = """
import json, sys
from locust import task
from locust.env import Environment
import gevent
import redislock
from redislock.locust import RedisLockUser

fired = []

class Buyer(RedisLockUser):
    def context(self):
        return {"who": "buyer"}

def note(**event):
    fired.append(event)

environment = Environment(user_classes=[Buyer])
environment.events.request.add_listener(note)

def connections():
    with redislock.Client() as client:
        return int(client.health().details["connected_clients"]) - 1

"""


FAULTY = (
    PROGRAM
    + f"""
sys.path.insert(0, {str(Path(__file__).parents[1] / "faults")!r})
from redislock.locust.outcomes import Totals
from redislock.locust.run import run_of

def rows_of(recorder):
    totals = Totals()

    totals.merge(recorder.take())
    return totals.rows()
"""
)


def test_one_event_per_operation(server, user):
    fired = run_program(
        PROGRAM
        + f"""
buyer = Buyer(environment)
answers = [
    buyer.client.init({user!r}, 10),
    buyer.client.withdraw_lua({user!r}, 3),
    buyer.client.withdraw("watch", {user!r}, 3),
    buyer.client.withdraw_lock({user!r}, 5),
    buyer.client.deposit({user!r}, 1, idempotency_key="k"),
    buyer.client.balance({user!r}),
    buyer.client.history({user!r}, limit=1),
    buyer.client.outcome({user!r}, "k"),
    buyer.client.health(),
    buyer.client.delete({user!r}),
]
assert buyer.client.keys({user!r})["balance"]
for event, answer in zip(fired, answers, strict=True):
    assert event["response"] is answer
    if isinstance(answer, redislock.Result) and event["name"] != "outcome":
        assert event["response_time"] == answer.elapsed * 1000
    assert isinstance(event["response_time"], float) and 0 < event["response_time"] < 5000
    del event["response"], event["response_time"]
buyer.on_stop()
print(json.dumps(fired))
""",
        REDIS_CONN=server.url,
    )
    names = "init withdraw_lua withdraw_watch withdraw_lock deposit balance history outcome health"
    assert [event.pop("name") for event in fired] == [*names.split(), "delete"]
    same = {
        "request_type": "redislock",
        "response_length": 0,
        "context": {"who": "buyer"},
        "exception": None,
    }
    assert fired == [same] * 10


def test_statuses_that_fail_are_the_users_choice(server, user):
    told = run_program(
        PROGRAM
        + f"""
class Strict(Buyer):
    failure_statuses = ("insufficient",)

told = []
for kind in (Buyer, Strict):
    buyer = kind(environment)
    buyer.client.init({user!r}, 1)
    assert not buyer.client.withdraw_lua({user!r}, 3)
    assert not buyer.client.withdraw_lua("nobody", 3)
    told.append([repr(event["exception"]) for event in fired])
    fired.clear()
    buyer.on_stop()
print(json.dumps(told))
""",
        REDIS_CONN=server.url,
    )
    assert told == [
        ["None", "None", "RefusedError('missing')"],
        ["None", "RefusedError('insufficient')", "None"],
    ]


def test_a_fault_is_reported_and_a_wrong_argument_raises(server, user):
    run_program(
        PROGRAM
        + f"""
Buyer.host = "redis://127.0.0.1:1"
buyer = Buyer(environment)
assert buyer.client.withdraw_lua({user!r}, 3) is None
(event,) = fired
assert isinstance(event["exception"], redislock.ConnectionError)
assert event["response"] is None and event["response_time"] > 0
assert not buyer.client.health()
assert isinstance(fired[1]["exception"], redislock.ConnectionError)
for wrong in (0, -1, 2**63, 1.5, "3", True):
    try:
        buyer.client.withdraw_lua({user!r}, wrong)
    except (ValueError, TypeError, OverflowError):
        continue
    raise SystemExit("no error for " + repr(wrong))
assert len(fired) == 2
buyer.on_stop()
print("null")
""",
        REDIS_CONN=server.url,
    )


def test_a_wrong_host_typed_into_the_web_ui_stops_the_run_in_one_sentence(server):
    run_program(
        PROGRAM
        + """
Buyer.host = "http://localhost"
try:
    Buyer(environment)
except Exception as stop:
    assert type(stop).__name__ in ("StopTest", "ValueError")  # the latter where Locust is older
    assert "scheme must be redis" in str(stop)
    print("null")
"""
    )


def test_an_unknown_outcome_has_no_time_and_is_never_ok(start_server, user):
    server = start_server(port=0)
    run_program(
        PROGRAM
        + f"""
import os, signal
buyer = Buyer(environment)
buyer.client.init({user!r}, 100)
os.kill({server.pid}, signal.SIGSTOP)
assert buyer.client.withdraw_lua({user!r}, 3, timeout=0.2) is None
os.kill({server.pid}, signal.SIGCONT)
assert isinstance(fired[1]["exception"], redislock.OutcomeUnknownError), fired[1]
assert fired[1]["response_time"] is None
buyer.on_stop()
print("null")
""",
        REDIS_CONN=server.url,
    )


def test_a_stopped_user_leaves_unknown_outcomes_and_a_clean_connection(start_server, user):
    server = start_server(port=0)
    run_program(
        PROGRAM
        + f"""
import os, signal
one, other = Buyer(environment), Buyer(environment)
one.client.init({user!r}, 100)
fired.clear()
os.kill({server.pid}, signal.SIGSTOP)
greenlets = [
    gevent.spawn(getattr(one.client, name), {user!r}, 3)
    for name in ("withdraw_lua", "withdraw_lock", "withdraw_watch", "withdraw_lua")
]
reading = gevent.spawn(one.client.balance, {user!r})
gevent.sleep(0.1)
gevent.killall([*greenlets, reading], timeout=5)
assert all(each.dead for each in greenlets) and reading.dead
assert len(fired) == 4, fired  # a read that is cut off is no request
for event in fired:
    assert event["response_time"] is None and event["response"] is None
    assert isinstance(event["exception"], redislock.OutcomeUnknownError), event
os.kill({server.pid}, signal.SIGCONT)
one.on_stop()
result = other.client.withdraw_lua({user!r}, 3)
assert result and 100 - 5 * 3 <= result.balance <= 97, result
other.on_stop()
print("null")
""",
        REDIS_CONN=server.url,
    )


def test_users_share_connections_and_the_last_one_closes_them(start_server, user):
    server = start_server(port=0)
    run_program(
        PROGRAM
        + f"""
import time
users = [Buyer(environment) for _ in range(50)]
assert connections() == 0  # nothing is opened before it is needed: --processes forks before
users[0].client.init({user!r}, 1000)
gevent.joinall([gevent.spawn(each.client.withdraw_lua, {user!r}, 3) for each in users])
assert len(fired) == 51 and not any(event["exception"] for event in fired)
assert 1 <= connections() <= 3
for each in users[1:]:
    each.on_stop()
assert connections() >= 1
users[0].on_stop()
give_up = time.monotonic() + 5
while connections():
    assert time.monotonic() < give_up
    time.sleep(0.01)
again = Buyer(environment)
assert again.client.withdraw_lua({user!r}, 3)
again.on_stop()
print("null")
""",
        REDIS_CONN=server.url,
    )


def test_books_know_deposits_replays_and_unknown_outcomes(start_server, user):
    server = start_server(port=0)
    run_program(
        PROGRAM
        + f"""
import os, signal
from redislock.locust.run import run_of
buyer = Buyer(environment)
with redislock.Client() as client:
    client.init({user!r}, 100)
buyer.client.withdraw_lua({user!r}, 3, idempotency_key="a")
buyer.client.withdraw_lua({user!r}, 3, idempotency_key="a")
buyer.client.withdraw("lock", {user!r}, amount=4)
buyer.client.withdraw_lua({user!r}, 1000)
buyer.client.deposit({user!r}, 20)
os.kill({server.pid}, signal.SIGSTOP)
buyer.client.deposit({user!r}, 5, timeout=0.2)
buyer.client.withdraw_watch({user!r}, 2, timeout=0.2)
os.kill({server.pid}, signal.SIGCONT)
done = run_of(environment).recorder.money("Buyer", {user!r})
assert (done.ok, done.deposits) == (7, 25), done
# A withdrawal whose WATCH was not answered took nothing, and is no unknown one.
assert (done.unknown, done.unknown_count) == (5, 1), done
assert not done.reset
buyer.on_stop()
print("null")
""",
        REDIS_CONN=server.url,
    )


def test_a_recorded_outcome_whose_first_answer_was_lost_is_unknown_to_the_books(server, user):
    told = run_program(
        FAULTY
        + f"""
from proxy import Proxy
with Proxy({server.port}) as proxy:
    environment.host = proxy.url
    buyer = Buyer(environment)
    with redislock.Client() as client:
        client.init({user!r}, 100)
    buyer.client.withdraw_lua({user!r}, 3)  # the server knows the script from now on
    proxy.cut("reply", 0)  # applied; the client asks again, and is told what is recorded
    buyer.client.withdraw_lua({user!r}, 3, idempotency_key="a")
    assert fired[-1]["response"].replayed and not fired[-1]["exception"]
    for _ in range(3):  # of which the books have heard
        buyer.client.withdraw_lua({user!r}, 3, idempotency_key="a")
    done = run_of(environment).recorder.money("Buyer", {user!r})
    left = buyer.client.balance({user!r})
    buyer.on_stop()
print(json.dumps([left, done.ok, done.unknown, done.unknown_count]))
""",
        REDIS_CONN=server.url,
    )
    assert told == [94, 3, 3, 1]


def test_an_answer_that_makes_no_sense_is_unknown(user):
    told = run_program(
        FAULTY
        + f"""
from fake_server import FakeServer
with FakeServer(lambda words: b"+garbage\\r\\n") as fake:
    environment.host = fake.url
    buyer = Buyer(environment)
    buyer.client.withdraw_lua({user!r}, 3)
    buyer.client.balance({user!r})
    done = run_of(environment).recorder.money("Buyer", {user!r})
    ((_, read, _), (_, withdrawn, _)) = rows_of(run_of(environment).recorder)
    buyer.on_stop()
    assert isinstance(fired[0]["exception"], redislock.ProtocolError), fired
times = [event["response_time"] is None for event in fired]
print(json.dumps([withdrawn, read, times, done.ok, done.unknown, done.unknown_count]))
"""
    )
    assert told == [{"unknown": 1}, {"error": 1}, [True, False], 0, 3, 1]


def test_counts_and_histograms_of_workers_merge_exactly():
    run_program(
        PROGRAM
        + """
from redislock.locust.outcomes import Recorder, Totals
alone, workers, fleet = Recorder(), [Recorder() for _ in range(3)], Totals()
seconds = [1e-6 * 1.01 ** each for each in range(1500)]
for at, each in enumerate(seconds):
    word = ("ok", "conflict", "unknown")[at % 3]
    for recorder in (alone, workers[at % 2]):
        recorder.count("withdraw_lua", word, None if word == "unknown" else each)
        recorder.money("Buyer", "alice").ok += 2**63 - 1
    if at % 100 == 0:
        for worker in workers:
            fleet.merge(worker.take())
for worker in workers:
    fleet.merge(worker.take())
    assert worker.take() == {"names": {}, "money": []}
whole = Totals()
whole.merge(alone.take())
assert fleet.rows() == whole.rows(), (fleet.rows(), whole.rows())
((name, counts, latency),) = fleet.rows()
assert counts == {"ok": 500, "conflict": 500, "unknown": 500} and latency.count == 1000
assert fleet.money(iter(["Buyer", "Other"]), "alice").ok == 1500 * (2**63 - 1)
print("null")
"""
    )


def test_a_blocking_server_does_not_stop_other_greenlets(start_server, user):
    server = start_server(port=0)
    ticks = run_program(
        PROGRAM
        + f"""
import os, signal
buyer = Buyer(environment)
buyer.client.init({user!r}, 100)
os.kill({server.pid}, signal.SIGSTOP)
waiting = gevent.spawn(buyer.client.withdraw_lua, {user!r}, 3)
ticks = 0
for _ in range(20):
    gevent.sleep(0.01)
    ticks += not waiting.dead
os.kill({server.pid}, signal.SIGCONT)
assert waiting.get(timeout=5)
print(ticks)
""",
        REDIS_CONN=server.url,
    )
    assert ticks == 20


def test_the_example_in_the_docstring_runs(server, tmp_path):
    text = subprocess.run(
        [sys.executable, "-c", "import redislock.locust; print(redislock.locust.__doc__)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    example = re.search(r"(?ms)^    from locust.*?\n\n(?=\S)", text)[0]
    locustfile = tmp_path / "example.py"
    locustfile.write_text("\n".join(line[4:] for line in example.splitlines()))
    with redislock.Client(server.url) as client:
        client.init("alice", 10**9)
    run = run_locust(locustfile=locustfile, users=2, REDIS_CONN=server.url)
    assert run.code == 0, run.log
    assert run.ok("withdraw_lua") > 0
