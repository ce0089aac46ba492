"""Scenarios 4 to 7 and 38: what an idempotency key promises, and when it refuses."""

import asyncio
import concurrent.futures
import threading

import pytest
from changes import CHANGES, WITHDRAWALS, after, change, measure, warm
from waiting import eventually, in_background

import redislock.asyncio
from redislock import IdempotencyMismatchError, OutcomeUnknownError


@pytest.mark.parametrize("how", WITHDRAWALS)
def test_4_the_same_key_with_another_amount_or_operation(how, server, connect, user):
    client = connect(server.url)
    client.init(user, 100)
    assert client.withdraw(how, user, 3, idempotency_key="order").status == "ok"
    for other in WITHDRAWALS:
        with pytest.raises(IdempotencyMismatchError, match="'order'"):
            client.withdraw(other, user, 4, idempotency_key="order")
    with pytest.raises(IdempotencyMismatchError):
        client.deposit(user, 3, idempotency_key="order")
    assert client.balance(user) == 97
    client.deposit(user, 5, idempotency_key="refund")
    with pytest.raises(IdempotencyMismatchError):
        client.withdraw(how, user, 5, idempotency_key="refund")
    assert client.balance(user) == 102
    assert client.init(user + "-other", 10)
    assert client.withdraw(how, user + "-other", 4, idempotency_key="order").status == "ok"


@pytest.mark.threads
@pytest.mark.parametrize("how", CHANGES)
def test_5_and_38_fifty_clients_with_one_key(how, server, connect, user):
    clients = [connect(server.url) for _ in range(50)]
    clients[0].init(user, 100)
    together = threading.Barrier(50)

    def request(client):
        client.health()  # connected
        together.wait(30)
        if how == "deposit":
            return client.deposit(user, 3, idempotency_key="order", timeout=30)
        return client.withdraw(
            how, user, 3, idempotency_key="order", max_retries=1000, lock_wait=30, timeout=30
        )

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        results = list(pool.map(request, clients))
    expected = 103 if how == "deposit" else 97
    assert {(each.status, each.balance) for each in results} == {("ok", expected)}
    assert sum(not each.replayed for each in results) == 1
    assert clients[0].balance(user) == expected
    assert len(clients[0].history(user)) == 1


def test_38_fifty_tasks_with_one_key_by_watch(server, user):
    async def run():
        async with redislock.asyncio.Client(server.url) as client:
            await client.init(user, 100)
            results = await asyncio.gather(
                *(
                    client.withdraw_watch(user, 3, idempotency_key="order", max_retries=1000)
                    for _ in range(50)
                )
            )
            assert {each.status for each in results} == {"ok"}
            assert sum(not each.replayed for each in results) == 1
            assert await client.balance(user) == 97

    asyncio.run(run())


@pytest.mark.parametrize("how", WITHDRAWALS)
def test_6_insufficient_stays_insufficient(how, server, connect, user):
    client = connect(server.url)
    client.init(user, 2)
    first = client.withdraw(how, user, 3, idempotency_key="order")
    assert (first.status, first.replayed) == ("insufficient", False)
    client.deposit(user, 100)
    for other in WITHDRAWALS:
        again = client.withdraw(other, user, 3, idempotency_key="order")
        assert (again.status, again.replayed) == ("insufficient", True)
    assert client.outcome(user, "order").status == "insufficient"
    assert client.balance(user) == 102
    assert client.withdraw(how, user, 3).status == "ok"


@pytest.mark.parametrize("how", CHANGES)
def test_7_no_retry_when_the_record_may_have_expired(how, proxy, connect, raw, user):
    client = connect(proxy.url, timeout=10, idempotency_ttl=1)
    client.init(user, 1000)
    size = measure(client, proxy, how, user, "before")["reply"]
    warm(client, how)
    record = client.keys(user)["once"] + "others"
    charged = after(how, client.balance(user))
    # Applied, its answer lost, and the server out of reach until the record is gone; then within reach
    # again, long before the client's own timeout.
    proxy.cut("reply", size - 6)  # the length varies with the server's microseconds
    proxy.refuse()
    call = in_background(lambda: change(client, how, user, "others"))
    eventually(lambda: raw.exists(record))
    eventually(lambda: not raw.exists(record))
    proxy.refuse(False)
    with pytest.raises(OutcomeUnknownError):
        call.result(15)
    assert client.balance(user) == charged
    assert len(client.history(user)) == 3
