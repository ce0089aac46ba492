"""The SQL strategies keep Redis' promises: statuses, results, history, keys, no balance lost or negative."""

import time
from collections import Counter

import pytest
from faces import call
from sql_faces import EVERY_SQL, SQL_FACES, on_postgres, on_sqlite

import redislock
from redislock import sql

EVERYWHERE = ["atomic", "version"]
SAFE = [*EVERYWHERE, "for_update", "serializable"]
MOST = 2**63 - 1


@pytest.fixture(params=EVERY_SQL)
def kind(request):
    return request.param


@pytest.fixture
def url(kind, request, tmp_path):
    if kind[1] == "postgresql":
        return request.getfixturevalue("postgres").url
    return f"sqlite:///{tmp_path}/accounts.db"


@pytest.fixture
def connect(kind, url):
    made = []

    def make(**options):
        made.append(SQL_FACES[kind[0]](url, **options))
        if kind[1] == "sqlite":
            made[-1].migrate()
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def client(connect):
    return connect()


@pytest.fixture
def safe(kind):
    return SAFE if kind[1] == "postgresql" else EVERYWHERE


def test_statuses_and_balances_are_those_of_redis(client, safe, user):
    for strategy in [*safe, "naive"]:
        result = client.init(user, 10)
        assert (result.status, result.balance) == ("ok", 10)
        taken = client.withdraw_by(strategy, user, 3)
        assert isinstance(taken, redislock.Result)
        assert (taken.status, taken.balance, taken.attempts, taken.replayed) == ("ok", 7, 1, False)
        assert taken.elapsed > 0
        refused = client.withdraw(strategy, user, 8)
        assert (refused.status, refused.balance) == ("insufficient", 7)
        assert client.withdraw(strategy, user + "-nobody", 1).status == "missing"
        emptied = client.withdraw(strategy, user, 7)
        assert (emptied.status, emptied.balance) == ("ok", 0)


def test_deposits(client, user):
    assert client.deposit(user, 1).status == "missing"
    assert client.deposit_naive(user, 1).status == "missing"
    client.init(user, MOST - 5)
    assert client.deposit(user, 5).balance == MOST
    for deposit in [client.deposit, client.deposit_naive]:
        assert (deposit(user, 1).status, client.balance(user)) == ("overflow", MOST)
    client.init(user, 1)
    assert (client.deposit(user, 2).balance, client.deposit_naive(user, 3).balance) == (3, 6)


def test_init_balance_history_and_delete(client, user):
    assert client.balance(user) is None
    assert client.init(user, 5, if_missing=True).balance == 5
    assert client.init(user, 9, if_missing=True).balance == 5
    client.withdraw("atomic", user, 1, idempotency_key="k")
    client.withdraw("version", user, 2)
    client.deposit(user, 7)
    now = time.time_ns() // 1_000_000
    entries = client.history(user)
    assert [(e.amount, e.balance, e.strategy, e.idempotency_key) for e in entries] == [
        (-7, 9, "deposit", None),
        (2, 2, "version", None),
        (1, 4, "atomic", "k"),
    ]
    assert all(abs(each.time_ms - now) < 60_000 for each in entries)
    assert client.history(user, 1) == entries[:1]
    client.init(user, 3)
    assert (client.balance(user), client.history(user)) == (3, [])
    assert (client.delete(user).status, client.delete(user).status) == ("ok", "missing")
    assert (client.balance(user), client.history(user)) == (None, [])


def test_a_user_may_be_a_number(client, user):
    number = abs(hash(user)) % 10**12
    client.init(number, 5)
    assert client.balance(str(number)) == 5


def test_reset_sets_all_of_them(client, user):
    client.init(user, 5)
    client.withdraw("atomic", user, 1)
    client.reset({user: 1000, user + "-2": 7})
    assert (client.balance(user), client.balance(user + "-2"), client.history(user)) == (1000, 7, [])
    with pytest.raises(ValueError, match="balance"):
        client.reset({user: 1, user + "-2": -1})
    assert client.balance(user) == 1000
    client.reset({})


def test_the_history_keeps_its_limit(connect, user):
    client = connect(history_limit=5)
    client.init(user, 1000)
    for _ in range(140):
        client.withdraw("atomic", user, 1)
    assert [each.balance for each in client.history(user)] == [860, 861, 862, 863, 864]
    assert len(connect().history(user)) < 70  # the rest is cleared away now and then
    none = connect(history_limit=0)
    none.init(user, 10)
    for strategy in EVERYWHERE:
        none.withdraw(strategy, user, 1)
        none.withdraw(strategy, user, 1, idempotency_key=strategy)
    assert (none.balance(user), connect().history(user)) == (6, [])


def test_a_key_is_one_for_all_strategies(client, safe, user):
    client.init(user, 100)
    for strategy in safe:
        first = client.withdraw(strategy, user, 3, idempotency_key=strategy)
        assert not first.replayed
        for again in safe:
            replay = client.withdraw(again, user, 3, idempotency_key=strategy)
            assert (replay.status, replay.balance, replay.replayed) == ("ok", first.balance, True)
            with pytest.raises(redislock.IdempotencyMismatchError, match=f"'{strategy}'"):
                client.withdraw(again, user, 4, idempotency_key=strategy)
        with pytest.raises(redislock.IdempotencyMismatchError):
            client.deposit(user, 3, idempotency_key=strategy)
        assert client.outcome(user, strategy) == replay
    assert client.balance(user) == 100 - 3 * len(safe)
    client.delete(user)
    assert client.withdraw(safe[0], user, 3, idempotency_key=safe[0]).replayed


def test_a_refusal_is_told_again(client, safe, user):
    client.init(user, 2)
    for strategy in safe:
        assert client.withdraw(strategy, user, 3, idempotency_key=strategy).status == "insufficient"
    client.deposit(user, 100)
    for strategy in safe:
        again = client.withdraw(strategy, user, 3, idempotency_key=strategy)
        assert (again.status, again.balance, again.replayed) == ("insufficient", 2, True)
    assert client.outcome(user, "nothing") is None
    assert client.withdraw(safe[0], user + "-new", 3, idempotency_key="m").status == "missing"
    client.init(user + "-new", 5)
    assert client.withdraw(safe[0], user + "-new", 3, idempotency_key="m").status == "ok"
    client.init(user, MOST)
    assert client.deposit(user, 1, idempotency_key="over").status == "overflow"
    client.init(user, 0)
    assert client.deposit(user, 1, idempotency_key="over").status == "overflow"


def test_records_expire(connect, safe, user):
    client = connect(idempotency_ttl=1.0)
    client.init(user, 100)
    for strategy in safe:
        client.withdraw(strategy, user, 1, idempotency_key=strategy)
    assert client.withdraw(safe[0], user, 1, idempotency_key=safe[0]).replayed
    give_up = time.monotonic() + 10
    while client.outcome(user, safe[-1]) is not None and time.monotonic() < give_up:
        time.sleep(0.05)
    for strategy in safe:
        assert not client.withdraw(strategy, user, 1, idempotency_key=strategy).replayed
    assert client.balance(user) == 100 - 2 * len(safe)


def test_nothing_is_lost_among_many(client, safe, user):
    for strategy in safe:
        client.init(user, 150)
        sequences = [[call("withdraw", strategy, user, 1, max_retries=1000)] * 20 for _ in range(8)]
        sequences += [[call("deposit", user, 1)] * 20] * 2
        outcomes = client.together(sequences)
        assert all(isinstance(each, redislock.Result) for each in outcomes), outcomes
        taken = Counter(str(each.status) for each in outcomes)
        assert taken["ok"] + taken["insufficient"] == len(outcomes), (strategy, taken)
        history = client.history(user)
        changed = sum(each.amount for each in history)
        assert client.balance(user) == 150 - changed == history[0].balance
        assert len(history) == taken["ok"]


def test_one_key_from_many_callers_charges_once(client, safe, user):
    for strategy in safe:
        client.init(user, 100)
        wanted = call("withdraw", strategy, user, 3, idempotency_key=f"{strategy}-many", max_retries=1000)
        outcomes = client.together([[wanted]] * 8)
        assert [each.status for each in outcomes] == ["ok"] * 8, outcomes
        assert sum(not each.replayed for each in outcomes) == 1
        assert client.balance(user) == 97


@on_postgres
def test_naive_loses_updates(client, user):
    for _ in range(20):
        client.init(user, 1000)
        outcomes = client.together([[call("withdraw_naive", user, 1)] * 25] * 8)
        if client.balance(user) > 1000 - sum(map(bool, outcomes)):
            return
    pytest.fail("nothing raced in 20 rounds")


@on_sqlite
@pytest.mark.parametrize("strategy", ["for_update", "serializable"])
def test_sqlite_has_no_row_locks(client, user, strategy):
    with pytest.raises(redislock.ConfigurationError, match=f"no strategy '{strategy}' on SQLite"):
        client.withdraw(strategy, user, 1)


@on_postgres
def test_a_row_that_others_hold_is_busy(connect, postgres, user):
    import psycopg

    client = connect(lock_wait=0.05)
    client.init(user, 10)
    with psycopg.connect(postgres.url) as other:
        other.execute("SELECT 1 FROM accounts WHERE user_id = %s FOR UPDATE", [user])
        for strategy in [*SAFE, "naive"]:
            assert client.withdraw(strategy, user, 1).status == "lock_busy"
        assert client.deposit(user, 1).status == "lock_busy"
        with pytest.raises(redislock.TimeoutError, match="locked by others"):
            client.withdraw("atomic", user, 1, lock_wait=5, timeout=0.8)
        assert client.balance(user) == 10  # readers do not wait
        other.rollback()
    assert client.withdraw("for_update", user, 1).balance == 9


def test_arguments_are_checked_before_anything_is_opened(kind):
    face = SQL_FACES[kind[0]](
        "postgresql://nobody@127.0.0.1:1/none" if kind[1] == "postgresql" else "sqlite:////nowhere/x.db"
    )
    try:
        for wrong in [0, -1, 1.5, "1", True, None]:
            with pytest.raises((ValueError, TypeError), match="amount"):
                face.withdraw_atomic("u", wrong)
        with pytest.raises(OverflowError):
            face.deposit("u", 2**63)
        for wrong in [b"u", None, 1.5]:
            with pytest.raises(TypeError, match="user"):
                face.balance(wrong)
        for wrong in ["u\0", "\ud800"]:
            with pytest.raises(ValueError, match="user"):
                face.balance(wrong)
        for wrong in ["", "x" * 1025, "a\0b"]:
            with pytest.raises(ValueError, match="idempotency_key"):
                face.withdraw_atomic("u", 1, idempotency_key=wrong)
        with pytest.raises(ValueError, match="for_update, version, atomic, serializable, naive"):
            face.withdraw("lua", "u", 1)
        with pytest.raises(ValueError, match="timeout"):
            face.withdraw_atomic("u", 1, timeout=-1)
        with pytest.raises(redislock.ConnectionError):
            face.withdraw_atomic("u", 1)
    finally:
        face.close()


def test_health(client, kind):
    found = client.health()
    assert found
    assert found.server == kind[1]
    assert found.version
    assert found.latency > 0
    assert any("fsync" in each for each in found.warnings) == (kind[1] == "postgresql")


def test_a_closed_client_says_so(kind, url):
    face = SQL_FACES[kind[0]](url)
    face.run(call("aclose" if kind[0] in ("asyncio", "uvloop") else "close"))
    with pytest.raises(redislock.ClosedError):
        face.balance("u")
    face.close()


@pytest.mark.parametrize(
    "wrong",
    [
        "mysql://u:sesame@h/d",
        "postgresql://u:sesame@h:port/d",
        "postgresql://u:se/same@h/d",
        "sqlite://sesame/x.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "sesame",
    ],
)
def test_a_url_that_cannot_be_used_is_not_repeated(wrong):
    with pytest.raises(redislock.ConfigurationError) as found:
        sql.connect(wrong)
    assert "sesame" not in str(found.value)
    assert "same" not in str(found.value)


def test_passwords_are_never_shown():
    client = sql.connect("postgres://ann:sesame@127.0.0.1:1/shop")
    assert repr(client) == "<redislock.sql.Client postgresql://ann@127.0.0.1:1/shop>"
    with pytest.raises(redislock.ConnectionError, match=r"127\.0\.0\.1:1: Connection refused") as found:
        client.balance("u")
    assert "sesame" not in str(found.value)
    health = client.health()
    assert not health
    assert "refused" in health.error
    client.close()
