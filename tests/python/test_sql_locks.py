"""Two transfers, PostgreSQL's deadlock and its retry, and how `redislock locks` shows who waits for whom."""

import contextlib
import json
import subprocess
import sys
import threading
import time

import psycopg
import pytest
from faces import call
from sql_faces import SQL_FACES

import redislock
from redislock import sql
from redislock.cli._holders import find_edges
from redislock.cli._row_lock_server import RowLockServer

LOCK = "SELECT balance FROM accounts WHERE user_id = %s FOR UPDATE"


def eventually(what, seconds=20.0):
    give_up = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)
    return answer


@contextlib.contextmanager
def session(postgres, name, deadlock_timeout="1s"):
    options = f"-c deadlock_timeout={deadlock_timeout}"
    with psycopg.connect(postgres.url, application_name=name, options=options) as line:
        yield line


@contextlib.contextmanager
def in_thread(work):
    outcome = []

    def run():
        try:
            outcome.append(work())
        except Exception as error:  # noqa: BLE001
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield outcome
    finally:
        thread.join()


@pytest.fixture
def pair(postgres, user):
    with sql.connect(postgres.url) as client:
        client.reset({f"{user}-a": 100, f"{user}-b": 100})
        yield f"{user}-a", f"{user}-b"


@pytest.mark.parametrize("face", SQL_FACES)
def test_a_transfer_moves_money_or_nothing(postgres, pair, face):
    if face in ("gevent", "uvloop"):
        pytest.importorskip(face)
    a, b = pair
    client = SQL_FACES[face](postgres.url)
    try:
        moved = client.transfer(a, b, 30)
        assert (moved.status, moved.balance, client.balance(b)) == ("ok", 70, 130)
        assert client.transfer(b, a, 131, in_order=False).status == "insufficient"
        assert client.transfer(a, a + "-nobody", 1).status == "missing"
        assert client.transfer(a + "-nobody", a, 1).status == "missing"
        client.init(b, 2**63 - 2)
        assert client.transfer(a, b, 2).status == "overflow"
        assert client.balance(a) == 70
        entry = client.history(a)[0]
        assert (entry.amount, entry.balance, entry.strategy) == (30, 70, "transfer")
        for wrong in [(a, a, 1), (a, b, 0), (a, b, -1)]:
            with pytest.raises(ValueError, match=r"two accounts|amount"):
                client.transfer(*wrong)
        client.reset({a: 100, b: 100})
        outcomes = client.together(
            [[call("transfer", a, b, 1)] * 10, [call("transfer", b, a, 1)] * 10] * 3,
        )
        assert [each.status for each in outcomes] == ["ok"] * 60
        assert {each.attempts for each in outcomes} == {1}  # in one order nobody waits in a circle
        assert client.balance(a) + client.balance(b) == 200
    finally:
        client.close()


def test_a_deadlock_is_tried_again(postgres, pair):
    a, b = pair
    with sql.connect(postgres.url) as client, session(postgres, "other", "30s") as other:
        other.execute(LOCK, [b])
        with in_thread(lambda: client.transfer(a, b, 10, in_order=False, timeout=20)) as outcome:
            with RowLockServer(postgres.url, "5") as server:
                eventually(lambda: [each for each in server.look(None) if each.name == f"accounts {b}"])
            # The circle is closed; the transfer has waited longest, and is told 40P01 after its second.
            other.execute(LOCK, [a])
            other.commit()
        [result] = outcome
        assert (result.status, result.balance, result.attempts) == ("ok", 90, 2)
        assert client.balance(b) == 110
    assert "deadlock detected" in postgres.log


def test_the_listing_shows_who_waits_for_whom(postgres, pair):
    a, b = pair
    with (
        session(postgres, "A", "60s") as one,
        session(postgres, "B", "60s") as two,
        sql.connect(postgres.url, client_name="shop") as client,
        RowLockServer(postgres.url, "5") as server,
    ):
        one.execute(LOCK, [a])
        two.execute(LOCK, [b])
        held = server.look([b"accounts, some rows"])
        assert {each.owner.client_name for each in held[0].holders} == {
            "A, idle in transaction",
            "B, idle in transaction",
        }
        with (
            in_thread(lambda: client.withdraw_atomic(a, 1, timeout=60)),
            in_thread(lambda: one.execute(LOCK, [b])) as first,
        ):

            def waiting():
                return {each.name: each for each in server.look([a.encode(), b.encode()]) if each.waiting}

            eventually(lambda: len(waiting()) == 2)
            assert find_edges(list(waiting().values()))[0].deadlock is False
            with in_thread(lambda: two.execute(LOCK, [a])) as second:
                seen = eventually(lambda: (rows := waiting())[f"accounts {a}"].waiting == 2 and rows)
                row = seen[f"accounts {a}"]
                assert [each.owner.pid for each in row.holders] == [one.info.backend_pid]
                assert {each.owner.client_name.partition(",")[0] for each in row.waiters} == {"shop", "B"}
                edges = find_edges(list(seen.values()))
                assert sum(each.deadlock for each in edges) == 2
                shown = listed(postgres)
                assert "DEADLOCK: 2 owners wait for each other" in shown
                assert (
                    f"waits for accounts {b}, held by backend pid {two.info.backend_pid} (B, active)" in shown
                )
                told = json.loads(listed(postgres, "--json"))
                assert f"accounts {a}" in [each["name"] for each in told["locks"]]
                two.cancel()
            assert isinstance(second[0], psycopg.errors.QueryCanceled)
            two.rollback()
            eventually(lambda: first)
            one.rollback()
    assert "nothing is held" in listed(postgres, a)


def listed(postgres, *words):
    return locks("--url", postgres.url, *words).stdout


def locks(*words):
    return subprocess.run(
        [sys.executable, "-m", "redislock", "locks", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("url", "code", "sentence"),
    [
        ("sqlite:///x.db", 2, "SQLite locks no rows"),
        ("postgresql://u:sesame@h:port/d", 2, "cannot be read"),
        ("postgresql://ann:sesame@127.0.0.1:1/shop", 3, "Connection refused"),
    ],
)
def test_what_cannot_be_listed_gets_one_sentence(url, code, sentence):
    done = locks("--url", url)
    assert done.returncode == code
    assert sentence in " ".join(done.stderr.split()).replace("│ ", "")
    assert "sesame" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_tables_of_another_version_are_refused(postgres):
    # In a database of its own: others use this one.
    import psycopg

    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE another_version")
    url = postgres.url.replace("/postgres?", "/another_version?")
    assert url != postgres.url
    try:
        with sql.connect(url) as client:
            client.migrate()
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("UPDATE redislock_schema SET version = 99")
        done = locks("--url", url)
        assert done.returncode != 0
        assert "schema version 99" in " ".join(done.stderr.split())
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as admin:
            admin.execute("DROP DATABASE another_version WITH (FORCE)")


def test_sqlite_has_no_transfer(tmp_path):
    with (
        sql.connect(f"sqlite:///{tmp_path}/x.db") as client,
        pytest.raises(redislock.ConfigurationError, match="PostgreSQL"),
    ):
        client.transfer("a", "b", 1)
