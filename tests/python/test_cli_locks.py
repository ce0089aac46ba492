"""`redislock locks` and `redislock unlock`, on real servers with processes that hold and wait."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

pytest.importorskip("typer")
from typer.testing import CliRunner

from redislock._server import PrivateServer
from redislock.cli import app

OK, REFUSED, USAGE, FAULT, INTERRUPTED = 0, 1, 2, 3, 130
CTRL_D = b"\x04"
OURS = ("REDIS_CONN", "KEY_PREFIX", "MAX_RETRIES")
PARTY = str(Path(__file__).parent / "lock_party.py")


class Party:
    """A process that holds locks and waits for them."""

    def __init__(self, url):
        self.program = subprocess.Popen(
            [sys.executable, PARTY, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.program.pid

    def ask(self, name, who, **rest):
        self.program.stdin.write(json.dumps({"name": name, "who": who, **rest}) + "\n")
        self.program.stdin.flush()

    def take(self, name, who, **rest):
        self.ask(name, who, **rest)
        assert self.answer() == {"who": who, "held": True}

    def answer(self):
        return json.loads(self.program.stdout.readline())

    def stop(self):
        self.program.kill()
        self.program.communicate()


@pytest.fixture(scope="module")
def running_server():
    with PrivateServer(port=0) as running:
        yield running


@pytest.fixture
def server(running_server):
    """A server with nothing on it: what is listed is all that there is."""
    with redis.Redis.from_url(running_server.url) as client:
        client.flushall()
    return running_server


@pytest.fixture
def start(server):
    started = []

    def start():
        started.append(Party(server.url))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def party(start):
    return start()


@pytest.fixture
def other(server):
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def cli(server):
    def run(*arguments, **variables):
        environment = {**dict.fromkeys(OURS), "REDIS_CONN": server.url, **variables}
        return CliRunner().invoke(app, arguments, env=environment)

    return run


@pytest.fixture
def listed(cli):
    """Read `redislock locks --json` until what is waited for has come."""

    def listed(*names, until=lambda _: True):
        give_up = time.monotonic() + 20
        while True:
            done = cli("locks", "--json", *names)
            assert done.exit_code == OK, done.output
            found = json.loads(done.stdout)
            locks = {each["name"]: each for each in found["locks"]}
            if until(locks):
                return {**found, "locks": locks}
            assert time.monotonic() < give_up, found
            time.sleep(0.02)

    return listed


def waiting(name, count):
    return lambda locks: locks[name]["waiting"] == count


def told(done, code):
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("redislock: ")
    return done.stderr.removeprefix("redislock: ").rstrip("\n")


# ---- locks


def test_nothing_is_held(cli, server):
    done = cli("locks")
    assert (done.exit_code, done.stdout) == (OK, f"nothing is held or awaited at {server.url}/0\n")


def test_who_holds_and_who_waits(cli, party, start, listed):
    party.take("orders:17", "t3", client_name="shop")
    waiter = start()
    waiter.ask("orders:17", "a7", wait=60)
    listed(until=waiting("orders:17", 1))
    waiter.ask("orders:17", "g5", wait=60)
    lock = listed(until=waiting("orders:17", 2))["locks"]["orders:17"]
    (holder,) = lock["holders"]
    assert holder["owner"]["pid"] == party.pid
    assert (holder["owner"]["scope"], holder["owner"]["number"]) == ("thread", 3)
    assert holder["owner"]["client_name"] == "shop"
    assert holder["kind"] == "mutex"
    assert holder["fence"] > 10**15
    assert 0 <= holder["age"] < 20
    assert 40 < holder["left"] <= 60
    assert [each["owner"]["scope"] for each in lock["waiters"]] == ["task", "greenlet"]
    assert {each["owner"]["pid"] for each in lock["waiters"]} == {waiter.pid}
    assert lock["waiters"][0]["waited"] >= lock["waiters"][1]["waited"]
    head, row = cli("locks").stdout.splitlines()
    names = ["lock", "kind", "held", "by", "fence", "age", "left", "waiting", "first", "in", "line"]
    assert head.split() == names
    assert row.startswith("orders:17  mutex")
    assert f"pid {party.pid} thread 3 (shop)" in row
    assert f"  2  {lock['waiters'][0]['owner']['host']} pid {waiter.pid} task 7, for " in row


def test_a_lock_of_redis_py(cli, other, listed, party):
    theirs = other.lock("report", timeout=60)
    assert theirs.acquire()
    assert listed()["locks"] == {}  # it leaves nothing that could be looked for
    (holder,) = listed("report")["locks"]["report"]["holders"]
    assert holder["token"] == theirs.local.token.decode()
    assert (holder["owner"], holder["fence"], holder["age"]) == (None, None, None)
    assert 40 < holder["left"] <= 60
    party.ask("report", "t1", wait=60)
    listed(until=lambda locks: "report" in locks)
    assert f"{theirs.local.token.decode()[:16]}…" in cli("locks").stdout


def test_redis_pys_holder_has_no_fence_of_ours(party, other, listed):
    party.take("report", "t1", lease=0.05)
    give_up = time.monotonic() + 10
    while not (theirs := other.lock("report", timeout=60)).acquire(blocking=False):
        assert time.monotonic() < give_up
    assert theirs.owned()
    (holder,) = listed()["locks"]["report"]["holders"]
    assert (holder["fence"], holder["age"]) == (None, None)


def test_every_kind_and_no_lease(cli, party, listed):
    for number in range(7):
        party.take("pool", f"g{number}", kind="p", limit=7)
    party.take("page", "t1", kind="r", lease=None)
    party.ask("page", "t2", kind="w", wait=60)
    locks = listed(until=lambda found: "page" in found and found["page"]["waiting"] == 1)["locks"]
    assert {each["kind"] for each in locks["pool"]["holders"]} == {"permit"}
    assert len({each["fence"] for each in locks["pool"]["holders"]}) == 7
    assert locks["page"]["holders"][0]["kind"] == "reader"
    assert locks["page"]["holders"][0]["left"] is None
    shown = cli("locks").stdout
    assert "no lease" in shown
    assert "thread 2 to write, for " in shown
    assert "and 2 more" in shown
    assert "greenlet 6" in cli("locks", "pool").stdout


def test_a_name_in_any_bytes(cli, party, listed):
    party.take("x\x1b[31m\xff", "t1")
    lock = listed()["locks"]["x\\x1b[31m\\xff"]
    assert lock["name_hex"] == b"x\x1b[31m\xff".hex()
    assert "\x1b" not in cli("locks").stdout
    named = os.fsdecode(b"x\x1b[31m\xff")
    assert cli("unlock", named, "--force", "--yes").exit_code == OK
    assert listed()["locks"] == {}


def test_deadlocks_are_marked(cli, party, start, listed):
    second, third = start(), start()
    party.take("a", "t1")
    second.take("b", "t2")
    party.ask("b", "t1", wait=60, detect=False)
    second.ask("a", "t2", wait=60, detect=False)
    third.take("c", "t3")
    third.ask("a", "t3", wait=60)
    found = listed(until=lambda all_: all_["a"]["waiting"] == 2 and all_["b"]["waiting"] == 1)
    edges = {each["owner"].rpartition(":")[2]: each for each in found["edges"]}
    assert {who: each["deadlock"] for who, each in edges.items()} == {"t1": True, "t2": True, "t3": False}
    assert edges["t1"]["waits_for"] == "b"
    assert edges["t1"]["held_by"] == [edges["t2"]["owner"]]
    shown = cli("locks").stdout
    assert "DEADLOCK: 2 owners" in shown
    lines = shown.splitlines()
    assert sum(each.startswith("! ") for each in lines) == 2
    assert lines[-1].startswith("  ")
    assert f"pid {third.pid} thread 3 waits for a, held by" in lines[-1]


def test_what_most_wait_for_comes_first_and_the_rest_is_counted(cli, party, listed):
    for number in range(30):
        party.take(f"lock-{number:02}", "t1")
    for number in range(3):
        party.ask("lock-29", f"t{number + 2}", wait=60)
    listed(until=waiting("lock-29", 3))
    lines = cli("locks", "--limit", "10").stdout.splitlines()
    assert [each.split()[0] for each in lines[1:11]] == ["lock-29", *(f"lock-{n:02}" for n in range(9))]
    assert lines[11] == "and 20 more locks"
    assert len(listed()["locks"]) == 30


@pytest.mark.parametrize("width", [20, 60, 80, 100, 140])
def test_on_any_terminal(cli, party, listed, width):
    party.take("orders:17", "t3")
    party.ask("orders:17", "a7", wait=60)
    listed(until=waiting("orders:17", 1))
    shown = cli("locks", COLUMNS=str(width), FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[3" not in shown
    plain = re.sub(r"\x1b\[\d*m", "", shown)
    assert max(map(len, plain.splitlines())) <= width
    assert "orders:17" in plain
    assert f"{party.pid}" in plain


def test_named_locks_are_told_of_also_when_free(cli):
    (_, row) = cli("locks", "nothing").stdout.splitlines()
    assert row.split() == ["nothing", "nobody"]


def test_keys_that_are_no_locks_do_no_harm(cli, other):
    other.set("text", "hello")
    other.hset("hash", "a", "b")
    other.zadd("scores", {"ann": 2e15})
    other.set("fake:redislock:t:fence", "none")
    other.lpush("fake:redislock:t:queue", "x")
    assert cli("locks").exit_code == OK
    lines = cli("locks", "text", "hash", "scores", "fake").stdout.splitlines()
    assert [each.split()[0] for each in lines[1:]] == ["fake", "hash", "scores", "text"]


def test_it_uses_no_keys_and_writes_nothing(cli, party, other):
    party.take("a", "t1")
    other.config_resetstat()
    assert cli("locks").exit_code == OK
    used = {each.removeprefix("cmdstat_") for each in other.info("commandstats")}
    assert "keys" not in used
    assert not used & {"set", "del", "zadd", "zrem", "hset", "hdel", "pexpire", "expire"}
    assert "scan" in used


# ---- watching


def command(*arguments):
    return [sys.executable, "-m", "redislock", *arguments]


def environment(**wanted):
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**kept, **wanted}


@contextlib.contextmanager
def watching(*arguments, **wanted):
    with subprocess.Popen(
        command("locks", "--watch", *arguments),
        env=environment(**wanted),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def test_watching_as_json_gives_a_line_a_look(server, party):
    with watching("0.05", "--json", REDIS_CONN=server.url) as program:
        assert json.loads(program.stdout.readline())["locks"] == []
        party.take("orders:17", "t3")
        while not (locks := json.loads(program.stdout.readline())["locks"]):
            pass
        assert locks[0]["name"] == "orders:17"
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == INTERRUPTED
        assert program.stderr.read() == ""


def test_watching_into_a_pipe_prints_each_look(server):
    with watching("0.05", REDIS_CONN=server.url) as program:
        lines = [program.stdout.readline() for _ in range(4)]
        assert lines[0].startswith(f"{server.url}/0, 2")
        assert "every 0.05 s; Ctrl-C ends" in lines[0]
        assert lines[1] == lines[3] == f"nothing is held or awaited at {server.url}/0\n"
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == INTERRUPTED


def test_watching_needs_no_number_of_seconds(server, party):
    party.take("orders:17", "t3")
    with watching("orders:17", REDIS_CONN=server.url) as program:
        assert "every 2 s" in program.stdout.readline()
        assert program.stdout.readline().startswith("lock ")
        assert program.stdout.readline().startswith("orders:17 ")


def test_watching_goes_on_when_the_server_was_away(start_server):
    server = start_server(port=0)
    with watching("0.05", "--timeout", "0.5", "--json", "--url", server.url) as program:
        assert json.loads(program.stdout.readline())["locks"] == []
        server.stop()
        assert str(server.port) in program.stderr.readline()
        again = start_server(port=server.port)
        with redis.Redis.from_url(again.url) as other:
            other.set("seen:redislock:t:fence", "1")
            other.set("seen", "x")
        while not json.loads(program.stdout.readline())["locks"]:
            pass


def test_watching_a_server_that_is_not_there():
    with watching("--url", "redis://127.0.0.1:1") as program:
        assert program.wait(20) == FAULT
        assert program.stdout.read() == ""
        assert "127.0.0.1:1" in program.stderr.read()


def test_watching_on_a_terminal_refreshes_in_place(server, party):
    party.take("orders:17", "t3")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("locks", "--watch", "0.1"),
        env=environment(REDIS_CONN=server.url, TERM="xterm-256color", COLUMNS="120", LINES="30"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as program:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes any more
            while select.select([ours], [], [], 10)[0] and (part := os.read(ours, 4096)):
                shown += part
                if shown.count(b"orders:17") == 3:
                    program.send_signal(signal.SIGINT)
        assert program.wait(10) == INTERRUPTED
    os.close(ours)
    assert b"\x1b[1A" in shown  # the cursor goes up again
    assert b"Traceback" not in shown
    assert shown.rstrip().endswith(b"\x1b[?25h")  # and is visible at the end


# ---- unlock


def test_without_force_it_tells_what_it_would_do(cli, party, listed):
    party.take("orders:17", "t3")
    party.ask("orders:17", "a7", wait=60)
    listed(until=waiting("orders:17", 1))
    sentence = told(cli("unlock", "orders:17"), REFUSED)
    assert f"pid {party.pid} thread 3 (mutex, for " in sentence
    assert sentence.endswith("; 1 waits for it; do it with --force")
    assert len(listed()["locks"]["orders:17"]["holders"]) == 1


def test_it_goes_to_the_next_in_line(cli, party, listed):
    party.take("orders:17", "t3")
    fence = listed()["locks"]["orders:17"]["holders"][0]["fence"]
    party.ask("orders:17", "a7", wait=60)
    listed(until=waiting("orders:17", 1))
    done = cli("unlock", "orders:17", "--force", "--yes")
    assert done.exit_code == OK
    lost, now = done.stdout.splitlines()
    assert lost.startswith("orders:17: taken from ")
    assert lost.endswith(f"pid {party.pid} thread 3, fence {fence}")
    assert f"pid {party.pid} task 7 (mutex" in now
    assert party.answer() == {"who": "a7", "held": True}
    (holder,) = listed(until=waiting("orders:17", 0))["locks"]["orders:17"]["holders"]
    assert holder["fence"] > fence


def test_all_holders_of_a_semaphore_or_one(cli, party, listed):
    for number in range(3):
        party.take("pool", f"t{number}", kind="p", limit=3)
    party.ask("pool", "a1", kind="p", limit=3, wait=60)
    holders = listed(until=waiting("pool", 1))["locks"]["pool"]["holders"]
    chosen = next(each["token"] for each in holders if each["owner"]["number"] == 1)
    done = cli("unlock", "pool", "--force", "--yes", "--json", "--token", chosen)
    assert done.exit_code == OK
    said = json.loads(done.stdout)
    assert [each["token"] for each in said["taken_from"]] == [chosen]
    assert [each["owner"]["scope"] for each in said["handed_to"]] == ["task"]
    assert len(said["held_by"]) == 3
    assert party.answer() == {"who": "a1", "held": True}
    done = cli("unlock", "pool", "--force", "--yes")
    assert done.stdout.count("pool: taken from ") == 3
    assert done.stdout.endswith("pool: now free\n")


def test_readers_make_place_for_a_writer(cli, party, listed):
    party.take("page", "t1", kind="r")
    party.take("page", "t2", kind="r")
    party.ask("page", "t3", kind="w", wait=60)
    listed(until=waiting("page", 1))
    done = cli("unlock", "page", "--force", "--yes")
    assert done.stdout.count("page: taken from ") == 2
    assert "thread 3 (writer" in done.stdout
    assert party.answer() == {"who": "t3", "held": True}


def test_nobody_holds_it(cli):
    assert told(cli("unlock", "free", "--force", "--yes"), REFUSED) == (
        "nobody holds free; nobody waits for it"
    )


def test_a_token_that_nobody_has(cli, party):
    party.take("a", "t1")
    assert "begins with 'x'" in told(cli("unlock", "a", "--force", "--yes", "--token", "x"), REFUSED)


def test_a_lock_of_redis_py_can_be_taken_away(cli, other):
    theirs = other.lock("report", timeout=60)
    assert theirs.acquire()
    assert cli("unlock", "report", "--force", "--yes").exit_code == OK
    assert not theirs.owned()


@pytest.mark.parametrize("kind", ["text", "scores"])
def test_what_is_no_lock_is_left_alone(cli, other, kind):
    other.set("text", "hello")
    other.zadd("scores", {"hello": 2e15})
    assert "does not look like a lock" in told(cli("unlock", kind, "--force", "--yes"), REFUSED)
    assert other.exists(kind)
    assert cli("unlock", kind, "--force", "--yes", "--token", "hello").exit_code == OK
    assert not other.exists(kind)


def test_without_a_terminal_it_does_not_ask(cli, party, listed):
    party.take("a", "t1")
    assert "--yes" in told(cli("unlock", "a", "--force"), USAGE)
    assert len(listed()["locks"]["a"]["holders"]) == 1


def on_a_terminal(answer, *arguments, **wanted):
    """Run a command on a terminal where somebody types."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*arguments), env=environment(**wanted), stdin=theirs, stdout=theirs, stderr=theirs
    ) as program:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):
            while select.select([ours], [], [], 20)[0] and (part := os.read(ours, 4096)):
                shown += part
                if b"[y/N]" in shown and answer:
                    os.write(ours, answer)
                    answer = b""
        code = program.wait(10)
    os.close(ours)
    return code, " ".join(shown.decode().split())


@pytest.mark.parametrize(
    ("answer", "code", "left"), [(b"n\n", REFUSED, 1), (CTRL_D, INTERRUPTED, 1), (b"y\n", OK, 0)]
)
def test_it_asks_first(server, party, listed, answer, code, left):
    party.take("a", "t1")
    ended, shown = on_a_terminal(answer, "unlock", "a", "--force", REDIS_CONN=server.url)
    assert ended == code, shown
    assert f"pid {party.pid} thread 1 (mutex" in shown
    assert "nobody waits for it. Take it away? [y/N]" in shown
    assert "Traceback" not in shown
    assert len(listed("a")["locks"]["a"]["holders"]) == left


# ---- usage and faults


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("locks", "--limit", "0"), "'--limit'"),
        (("locks", "--watch", "0"), "'--watch'"),
        (("locks", "--watch=soon"), "'--watch'"),
        (("locks", "--timeout", "0"), "'--timeout'"),
        (("locks", "--url", "memory://"), "'--url'"),
        (("locks", "--url", "http://x"), "'--url'"),
        (("locks", ""), "'NAME'"),
        (("unlock", ""), "'NAME'"),
        (("unlock",), "'NAME'"),
        (("unlock", "a", "--token", ""), "'--token'"),
        (("unlock", "a", "--url", "memory://"), "'--url'"),
    ],
)
def test_wrong_usage(cli, arguments, named):
    assert named in told(cli(*arguments), USAGE)


@pytest.mark.parametrize("arguments", [("locks",), ("locks", "--json"), ("unlock", "a", "--force", "--yes")])
def test_nobody_listens(cli, arguments):
    assert "127.0.0.1:1" in told(cli(*arguments, "--url", "redis://127.0.0.1:1"), FAULT)
