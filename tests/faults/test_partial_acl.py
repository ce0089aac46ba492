"""An ACL that forbids one of the commands a change is made of (scenarios 30 and 36).

A script is not rolled back: whichever command is missing, an answer other than ok must mean that the
balance is what it was, also where the change itself was allowed and what goes with it was not.
"""

import pytest

import redislock

FORBIDDEN = (
    "decrby",
    "incrby",
    "lpush",
    "ltrim",
    "llen",
    "set",
    "get",
    "time",
    "del",
    "evalsha",
    "multi",
    "watch",
)
HISTORY_LIMIT = 2  # so that the third change has to trim


@pytest.fixture
def restricted(start_server, connect):
    """Make a client whose user may do everything but one command, beside one who may do all."""
    server = start_server(port=0)
    owner = connect(server.url, history_limit=HISTORY_LIMIT)

    def restrict(raw, command):
        raw.execute_command("ACL", "SETUSER", "u", "reset", "on", ">pw", "~*", "+@all", f"-{command}")
        return connect(
            server.url,
            username="u",
            password="pw",
            history_limit=HISTORY_LIMIT,
            lock_wait=0,
            lock_lease=0.2,
        )

    return server, owner, restrict


@pytest.mark.parametrize("command", FORBIDDEN)
def test_no_money_moves_behind_a_refusal(restricted, command):
    import redis

    server, owner, restrict = restricted
    with redis.Redis.from_url(server.url) as raw:
        client = restrict(raw, command)
        for change in ("lua", "lock", "watch", "deposit"):
            for key in (None, f"key-{change}"):
                user = f"{change}-{key}"
                owner.init(user, 100)
                for _ in range(HISTORY_LIMIT):
                    owner.withdraw_lua(user, 1)
                before = owner.balance(user)
                ok = attempt(client, change, user, key)
                moved = abs(before - owner.balance(user))
                assert moved == (5 if ok else 0), (change, key)
                assert len(owner.history(user)) <= HISTORY_LIMIT
                recorded = key is not None and owner.outcome(user, key)
                assert bool(recorded) == (ok and key is not None), (change, key)


def attempt(client, change, user, key):
    """Whether the change was told to be ok; a refusal must be a definite one, by its name."""
    try:
        if change == "deposit":
            return bool(client.deposit(user, 5, idempotency_key=key))
        return bool(client.withdraw(change, user, 5, idempotency_key=key))
    except redislock.PermissionDeniedError:
        return False


def test_a_history_of_one_entry_stays_one(server, connect, user):
    client = connect(server.url, history_limit=1)
    client.init(user, 10)
    for _ in range(3):
        client.withdraw_lua(user, 1)
    client.deposit(user, 2)
    assert [entry.balance for entry in client.history(user)] == [9]
