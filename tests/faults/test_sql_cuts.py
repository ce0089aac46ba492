"""The SQL clients where the connection, the server or the caller ends at the worst moment."""

import asyncio
import contextlib
import itertools
import subprocess
import sys
import textwrap
import threading
import time
import urllib.parse
from pathlib import Path

import psutil
import pytest
from proxy import Proxy
from waiting import eventually

import redislock
from redislock import sql
from redislock.sql import PrivatePostgres
from redislock.sql import asyncio as async_sql

SAFE = ["atomic", "version", "for_update", "serializable"]
MONEY = 10**6
LOCK_WAITS = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

unique = itertools.count()


@pytest.fixture
def behind(postgres, tmp_path_factory):
    """A proxy before the shared PostgreSQL, and its URL."""
    folder = tmp_path_factory.mktemp("p")
    with Proxy(str(postgres.data / ".s.PGSQL.5432"), str(folder / ".s.PGSQL.5432")) as proxy:
        proxy.sql_url = f"postgresql://postgres@/postgres?host={urllib.parse.quote(str(folder), safe='/')}"
        yield proxy


@pytest.fixture
def connect():
    made = []

    def make(url, **options):
        made.append(sql.connect(url, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("direction", ["request", "reply"])
@pytest.mark.parametrize("strategy", [*SAFE, "deposit"])
def test_a_cut_anywhere_never_charges_twice_and_is_never_called_nothing(
    strategy, direction, behind, connect, postgres, user
):
    client, plain = connect(behind.sql_url), connect(postgres.url)
    client.init(user, MONEY)

    def change(key):
        if strategy == "deposit":
            return client.deposit(user, 1, idempotency_key=key)
        return client.withdraw(strategy, user, 1, idempotency_key=key)

    step = 1 if strategy == "deposit" else -1
    for keyed in (False, True):
        change("warm" if keyed else None)
        begun = dict(behind.carried)
        change("measured" if keyed else None)
        length = behind.carried[direction] - begun[direction]
        outcomes = set()
        for position in range(0, length, max(1, length // 25)):
            change(f"w{next(unique)}" if keyed else None)
            key = f"k{next(unique)}" if keyed else None
            before = plain.balance(user)
            behind.cut(direction, position, "rst" if position % 2 else "fin")
            try:
                ended = str(change(key).status)
            except redislock.OutcomeUnknownError:
                ended = "unknown"
            where = f"{direction} cut at byte {position}, keyed: {keyed}"
            behind.uncut()
            # What was sent may still be under way: a row's lock is what the server itself waits for.
            plain.withdraw("for_update", user, MONEY * 2)
            now = plain.balance(user)
            outcomes.add(ended)
            if ended == "ok":
                assert now == before + step, where
            else:
                assert now in (before, before + step), where
            if keyed:
                assert ended == "ok", where
                assert change(key).replayed, where
                assert plain.balance(user) == now, where
        assert outcomes <= ({"ok"} if keyed else {"ok", "unknown"})


def test_an_answer_that_does_not_come_ends_the_call_by_its_deadline(behind, connect, user):
    client = connect(behind.sql_url, timeout=1.0)
    client.init(user, 10)
    for strategy in SAFE:
        client.withdraw(strategy, user, 1, timeout=5, lock_wait=0.75)  # as of 1 s
        behind.drop("reply", later_too=False)
        begun = time.monotonic()
        # Who only reads, or locks, when the silence begins, has changed nothing.
        expected = redislock.OutcomeUnknownError if strategy == "atomic" else redislock.TimeoutError
        with pytest.raises(expected):
            client.withdraw(strategy, user, 1)
        assert 0.9 < time.monotonic() - begun < 4
        behind.release()


def test_a_holder_that_stands_still_loses_its_transaction(connect, postgres, user):
    import psycopg

    other = connect(postgres.url)
    holds = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'holder' AND state LIKE 'idle in%'"

    async def run():
        async with async_sql.connect(postgres.url, lock_lease=0.5, client_name="holder") as client:
            await client.init(user, 10)
            await client.withdraw("for_update", user, 1)
            holder = asyncio.ensure_future(client.withdraw("for_update", user, 1))
            await asyncio.sleep(0)  # it sends what locks the row; then its loop stands still
            with psycopg.connect(postgres.url, autocommit=True) as admin:
                eventually(lambda: admin.execute(holds).fetchall())
            taken = other.withdraw("for_update", user, 1, lock_wait=4)
            lost = await holder
            return taken.balance, str(lost.status), (await client.withdraw("for_update", user, 1)).balance

    assert asyncio.run(run()) == (8, "lock_lost", 7)


def test_connections_that_died_idle_are_not_noticed_by_callers(connect, postgres, user):
    client, other = connect(postgres.url, client_name="to-be-killed"), connect(postgres.url)
    client.init(user, 10)
    import psycopg

    for expected in (9, 8):
        with psycopg.connect(postgres.url, autocommit=True) as admin:
            killed = admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'to-be-killed'"
            ).fetchall()
            assert killed
            eventually(
                lambda admin=admin: (
                    not admin.execute(
                        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'to-be-killed'"
                    ).fetchall()
                )
            )
        assert client.withdraw("atomic", user, 1).balance == expected
    assert other.balance(user) == 8


def test_a_server_that_was_restarted_goes_on(connect, user):
    with PrivatePostgres(durable=True) as server:
        client = connect(server.url)
        client.migrate()
        client.init(user, 10)
        server.kill()
        with pytest.raises(redislock.ConnectionError, match="cannot connect to PostgreSQL"):
            client.withdraw("atomic", user, 1, timeout=0.3)
        assert not client.health(timeout=0.3)
        back = threading.Timer(0.2, server.start)
        back.start()
        assert client.withdraw("for_update", user, 1, timeout=20).balance == 9
        back.join()


def test_closing_ends_what_is_under_way(connect, postgres, user):
    import psycopg

    client = connect(postgres.url)
    client.init(user, 10)
    outcomes = []

    def wait(strategy):
        try:
            outcomes.append(client.withdraw(strategy, user, 1, lock_wait=30, timeout=60))
        except redislock.Error as error:
            outcomes.append(type(error))

    with psycopg.connect(postgres.url) as other:
        other.execute("SELECT 1 FROM accounts WHERE user_id = %s FOR UPDATE", [user])
        threads = [threading.Thread(target=wait, args=[each]) for each in ("for_update", "atomic")]
        for each in threads:
            each.start()
        with psycopg.connect(postgres.url, autocommit=True) as admin:
            eventually(
                lambda: (
                    len(
                        admin.execute(
                            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                        ).fetchall()
                    )
                    == 2
                )
            )
        client.close()
        for each in threads:
            each.join(5)
    assert set(outcomes) == {redislock.ClosedError, redislock.OutcomeUnknownError}


def test_a_cancelled_task_leaves_no_lock_and_no_open_transaction(postgres, user):
    import psycopg

    async def run():
        async with async_sql.connect(postgres.url, client_name="cancelled") as client:
            await client.init(user, 10)
            with psycopg.connect(postgres.url) as other:
                other.execute("SELECT 1 FROM accounts WHERE user_id = %s FOR UPDATE", [user])
                task = asyncio.ensure_future(client.withdraw_for_update(user, 1, lock_wait=30, timeout=60))
                with psycopg.connect(postgres.url, autocommit=True) as admin:
                    waits = lambda: admin.execute(LOCK_WAITS).fetchall()  # noqa: E731
                    await asyncio.to_thread(eventually, waits)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            return (await client.withdraw_for_update(user, 1)).balance

    assert asyncio.run(run()) == 9


def run_program(program, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("patched", [False, True], ids=["unpatched", "patched"])
def test_a_greenlet_that_waits_for_a_row_does_not_stop_the_hub(patched, postgres, user):
    pytest.importorskip("gevent")
    program = """
        import sys
        from redislock import sql
        client = sql.connect(sys.argv[1])  # before anything is patched
        if sys.argv[3] == "True":
            from gevent import monkey; monkey.patch_all()
        import gevent
        gevent.get_hub()
        user = sys.argv[2]
        client.init(user, 1000)
        ticks = []
        def tick():
            while True:
                ticks.append(1)
                gevent.sleep(0.001)
        import threading
        ticker = gevent.spawn(tick)
        callers = [
            gevent.spawn(client.withdraw, how, user, 1, lock_wait=20, timeout=30)
            for how in ["for_update"] * 48 + ["atomic"] * 16
        ]
        gevent.joinall(callers, raise_error=True)
        print(sum(bool(each.value) for each in callers), client.balance(user), len(ticks) > 3)
        # A greenlet that is interrupted gives its connection up.
        with gevent.Timeout(0.05, False):
            while True:
                client.withdraw_for_update(user, 1)
        print(client.withdraw_for_update(user, 1).status)
        ticker.kill()
        client.close()
    """
    assert run_program(program, postgres.url, user, str(patched)) == ["64", "936", "True", "ok"]


def test_greenlets_do_not_wait_long_for_their_turn_at_sqlite(tmp_path):
    pytest.importorskip("gevent")
    program = """
        from gevent import monkey; monkey.patch_all()
        import gevent, sys
        from redislock import sql
        client = sql.connect(sys.argv[1], lock_wait=20, timeout=30)
        client.migrate()
        client.init("alice", 1000)
        def work():
            return [client.withdraw_atomic("alice", 1) for _ in range(5)]
        callers = [gevent.spawn(work) for _ in range(16)]
        gevent.joinall(callers, raise_error=True)
        print(sum(bool(each) for caller in callers for each in caller.value), client.balance("alice"))
        client.close()
    """
    assert run_program(program, f"sqlite:///{tmp_path}/x.db") == ["80", "920"]


def test_a_fork_leaves_the_parent_its_connections(postgres, user):
    program = """
        import os, sys
        from redislock import sql
        client, user = sql.connect(sys.argv[1]), sys.argv[2]
        client.init(user, 10)
        pid = os.fork()
        if pid == 0:
            print(client.withdraw_for_update(user, 1).balance, flush=True)
            client.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print(client.withdraw_for_update(user, 1).balance)
        client.close()
    """
    assert run_program(program, postgres.url, user) == ["9", "8"]


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_tables_that_are_missing_or_another_version_or_not_ours_are_named(kind, tmp_path, connect, request):
    import sqlite3

    import psycopg

    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/x.db"
        fresh = url.replace("x.db", "y.db")

        def execute(text, url=url):
            with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as admin, admin:
                admin.execute(text)

    else:
        server = request.getfixturevalue("postgres").url
        with psycopg.connect(server, autocommit=True) as admin:
            for name in ("versions", "others"):
                admin.execute(f"DROP DATABASE IF EXISTS {name}")
                admin.execute(f"CREATE DATABASE {name}")
        url, fresh = (server.replace("/postgres?", f"/{each}?") for each in ("versions", "others"))

        def execute(text, url=url):
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute(text)

    client = connect(url)
    client.migrate()
    execute("ALTER TABLE accounts RENAME TO aside")
    with pytest.raises(redislock.SchemaError, match="no tables of redislock; make them"):
        client.balance("u")
    execute("ALTER TABLE aside RENAME TO accounts")
    assert client.balance("u") is None
    execute("UPDATE redislock_schema SET version = 7")
    for call in [lambda: connect(url).balance("u"), connect(url).migrate]:
        with pytest.raises(redislock.SchemaError, match="are of schema version 7, and this redislock knows"):
            call()
    execute("CREATE TABLE accounts (x int)", fresh)
    for call in [lambda: connect(fresh).balance("u"), connect(fresh).migrate]:
        with pytest.raises(redislock.SchemaError, match="'accounts' that redislock did not make"):
            call()


def test_many_may_migrate_at_once(postgres, tmp_path, connect):
    import psycopg

    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS together")
        admin.execute("CREATE DATABASE together")
    for url in (postgres.url.replace("/postgres?", "/together?"), f"sqlite:///{tmp_path}/x.db"):
        failures = []

        def migrate(url=url, failures=failures):
            try:
                connect(url).migrate()
            except redislock.Error as error:
                failures.append(error)

        threads = [threading.Thread(target=migrate) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert failures == []
        assert connect(url).init("u", 5).balance == 5


def test_a_private_postgres_ends_with_its_owner(tmp_path):
    program = """
        import os, signal, sys
        from redislock.sql import PrivatePostgres
        server = PrivatePostgres().start()
        print(server.pid, server.data.parent, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    pid, folder = done.stdout.split()
    eventually(
        lambda: (
            not sys.platform.startswith("linux")
            or not psutil.pid_exists(int(pid))
            or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
        )
    )
    with PrivatePostgres() as next_one:  # which clears away what the other left
        assert next_one.running
        assert not Path(folder).exists()
    assert not next_one.running
