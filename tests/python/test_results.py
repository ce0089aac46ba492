"""Results, statuses, entries and errors as values: compared, printed, sent elsewhere."""

import copy
import json
import pickle

import pytest

import redislock
from redislock import Health, HistoryEntry, Result, Status


@pytest.fixture(scope="module")
def client():
    with redislock.Client("memory://") as made:
        yield made


@pytest.fixture
def ok(client, user):
    client.init(user, 100)
    return client.withdraw_lua(user, 3)


@pytest.fixture
def missing(client, user):
    return client.withdraw_lua(f"{user} who does not exist", 3)


# --- results ------------------------------------------------------------------------------------


def test_is_true_for_ok_only(client, user, ok, missing):
    assert ok
    assert not missing
    assert not client.withdraw_lua(user, 1000)
    assert bool(ok) is True


def test_compares_by_value(client, user, ok, missing):
    client.init(user, 100)
    same = client.withdraw_lua(user, 3)
    assert ok == same
    assert hash(ok) == hash(same)
    assert {ok, same, missing} == {ok, missing}
    assert ok != missing
    assert ok != client.withdraw_lua(user, 3)
    replayed = [client.deposit(user, 3, idempotency_key="k") for _ in range(2)]
    assert replayed[0] != replayed[1], "replayed counts"


def test_is_equal_to_nothing_else(ok):
    for other in ["ok", Status.ok, 97, True, None, ok.as_dict(), (ok.status, ok.balance)]:
        assert ok != other
        assert other != ok
    assert ok.__eq__("ok") is NotImplemented


def test_unpacks_into_nothing_surprising(ok):
    with pytest.raises(TypeError):
        iter(ok)
    with pytest.raises(TypeError):
        len(ok)
    with pytest.raises(TypeError):
        ok[0]
    with pytest.raises(TypeError):
        ok < ok  # noqa: B015, PLR0124
    with pytest.raises(TypeError):
        int(ok)


def test_cannot_be_changed(ok):
    for name in ["status", "balance", "attempts", "elapsed", "replayed", "anything"]:
        with pytest.raises(AttributeError):
            setattr(ok, name, 1)


def test_is_readable(ok, missing):
    assert repr(ok).startswith("Result(status='ok', balance=97, attempts=1, elapsed=")
    assert repr(ok).endswith(", replayed=False)")
    assert "balance=None" in repr(missing)
    assert str(ok) == repr(ok)


def test_is_a_dict_where_one_is_needed(ok, missing):
    told = ok.as_dict()
    assert told == {
        "status": "ok",
        "balance": 97,
        "attempts": 1,
        "elapsed": ok.elapsed,
        "replayed": False,
    }
    assert json.loads(json.dumps(told)) == told
    told["balance"] = 0
    assert ok.balance == 97
    assert missing.as_dict()["balance"] is None


def copies_of(value):
    """By every protocol: logging's SocketHandler still speaks the first."""
    yield from (
        pickle.loads(pickle.dumps(value, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    )
    yield from (copy.copy(value), copy.deepcopy(value))


def test_survives_pickling_and_copying(client, user, ok, missing):
    replay = client.withdraw_lua(user, 1, idempotency_key="k")
    for result in [ok, missing, replay, client.withdraw_lua(user, 1, idempotency_key="k")]:
        for same in copies_of(result):
            assert same == result
            assert same.as_dict() == result.as_dict()
            assert same.status is result.status
            assert type(same) is Result


def test_tells_exact_integers_and_plain_types(ok):
    assert type(ok.balance) is int
    assert type(ok.attempts) is int
    assert type(ok.elapsed) is float
    assert type(ok.replayed) is bool
    assert type(ok.status) is Status


@pytest.mark.parametrize("kind", [Result, HistoryEntry, Health])
def test_is_made_by_calls_only(kind):
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        kind.__new__(kind)


# --- statuses -----------------------------------------------------------------------------------

WORDS = ["ok", "insufficient", "missing", "lock_busy", "conflict", "lock_lost", "overflow"]


def test_statuses_are_words():
    assert [str(each) for each in Status] == WORDS
    for word in WORDS:
        status = Status(word)
        assert status == word
        assert status is getattr(Status, word)
        assert str(status) == f"{status}" == f"{status:s}" == f"{status!s}" == status.format() == word
        assert f"{status:>14}" == word.rjust(14)
        assert "%s" % status == word  # noqa: UP031
        assert "".join([status]) == word  # noqa: FLY002
        assert json.dumps({"status": status, status: 1}) == json.dumps({"status": word, word: 1})
        assert {word: 1}[status] == 1
        assert hash(status) == hash(word)
        assert isinstance(status, str)
        assert pickle.loads(pickle.dumps(status)) is status
        assert copy.deepcopy(status) is status


def test_statuses_match_patterns(ok):
    match ok.status:
        case Status.ok:
            pass
        case _:
            pytest.fail("not matched")
    with pytest.raises(ValueError, match="fine"):
        Status("fine")


# --- history entries ----------------------------------------------------------------------------


def test_entries_are_values(client, user, ok):
    client.deposit(user, 5, idempotency_key="k")
    new, old = client.history(user)
    assert client.history(user) == [new, old]
    assert len({new, old, *client.history(user)}) == 2
    assert new != old
    assert new != "x"
    assert (new.amount, new.balance, new.strategy, new.idempotency_key) == (-5, 102, "deposit", "k")
    assert old.idempotency_key is None
    assert old.as_dict() == {
        "amount": 3,
        "balance": 97,
        "time_ms": old.time_ms,
        "strategy": "lua",
        "idempotency_key": None,
    }
    assert json.loads(json.dumps(new.as_dict())) == new.as_dict()
    assert repr(old).startswith("HistoryEntry(amount=3, balance=97, ")
    for entry in [new, old]:
        for same in copies_of(entry):
            assert same == entry
            assert hash(same) == hash(entry)
    with pytest.raises(AttributeError):
        new.amount = 1


def test_health_is_a_value(client):
    health = client.health()
    for same in copies_of(health):
        assert same == health
        assert same.as_dict() == health.as_dict()
    assert health != redislock.Client("redis://localhost:1").health()


def test_a_client_is_no_value():
    client = redislock.Client("memory://")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(client, protocol)


# --- errors -------------------------------------------------------------------------------------


def test_errors_are_one_tree_with_builtins_in_it():
    bases = {
        redislock.ConfigurationError: (ValueError,),
        redislock.ConnectionError: (ConnectionError, OSError),
        redislock.AuthenticationError: (redislock.ConnectionError,),
        redislock.TimeoutError: (TimeoutError,),
        redislock.OutcomeUnknownError: (),
        redislock.ProtocolError: (),
        redislock.ServerError: (),
        redislock.PermissionDeniedError: (redislock.ServerError,),
        redislock.RedirectedError: (redislock.ServerError,),
        redislock.SchemaError: (redislock.ServerError,),
        redislock.WrongTypeError: (redislock.ServerError,),
        redislock.CorruptBalanceError: (ValueError,),
        redislock.IdempotencyMismatchError: (ValueError,),
        redislock.OperationCancelledError: (),
        redislock.ClosedError: (RuntimeError,),
        redislock.ConcurrencyError: (),
        redislock.LockError: (ValueError,),
        redislock.LockNotOwnedError: (redislock.LockError,),
        redislock.LockLostError: (redislock.LockNotOwnedError,),
        redislock.DeadlockError: (redislock.LockError,),
    }
    for error, wanted in bases.items():
        assert issubclass(error, (redislock.Error, *wanted)), error
        for base in wanted:
            assert issubclass(error, base)
        assert error.__module__.startswith("redislock")
        assert str(pickle.loads(pickle.dumps(error("why")))) == "why"
    exported = {
        each
        for each in vars(redislock).values()
        if isinstance(each, type) and issubclass(each, redislock.Error)
    }
    assert exported == {redislock.Error, *bases}


def test_an_unknown_outcome_is_not_caught_by_mistake():
    # Code that retries on these would charge twice.
    for retried in [ConnectionError, TimeoutError, OSError, ValueError, redislock.ConnectionError]:
        assert not issubclass(redislock.OutcomeUnknownError, retried)


def test_everything_exported_exists():
    for name in redislock.__all__:
        assert hasattr(redislock, name), name
    assert set(redislock.build_info()) >= {"version", "hiredis", "tls", "compiler"}
    assert redislock.__version__ == redislock.build_info()["version"]
