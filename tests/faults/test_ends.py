"""Scenario 28: close, garbage collection and interpreter exit, with operations in flight.

Each end happens in a process of its own: it must come to exit code 0 and never hang.
"""

from textwrap import dedent

import programs
import pytest
from fake_server import FakeServer, greeted
from waiting import at_most, eventually, in_background

from redislock import ClosedError, OutcomeUnknownError

PREAMBLE = """
import asyncio, atexit, gc, logging, os, sys, threading, time
import redislock, redislock.asyncio
url, silent = sys.argv[1:3]
HOWS = ("lua", "lock", "watch")

def spread(client):
    return [asyncio.ensure_future(client.withdraw(how, "nobody", 1)) for how in HOWS]
"""

ENDS = {
    # Daemon threads whose calls end at every moment of the interpreter's own end.
    "daemon threads that go on": """
        client = redislock.Client(url)
        def work():
            while True:
                for how in ("lua", "watch", "lock"): client.withdraw(how, "nobody", 1)
        for _ in range(8): threading.Thread(target=work, daemon=True).start()
        time.sleep(0.05)
    """,
    "daemon threads that meet errors": """
        client = redislock.Client(url, timeout=0.001)
        def work():
            while True:
                try: client.withdraw_lock("nobody", 1)
                except redislock.Error: pass
                try: redislock.Client("redis://127.0.0.1:1").balance("nobody")
                except redislock.Error: pass
        for _ in range(8): threading.Thread(target=work, daemon=True).start()
        time.sleep(0.05)
    """,
    "daemon threads that wait": """
        client = redislock.Client(silent, timeout=30)
        for how in (*HOWS, "lua"):
            threading.Thread(target=client.withdraw, args=(how, "nobody", 1), daemon=True).start()
        time.sleep(0.1)
    """,
    "daemon threads whose calls end while the interpreter does": """
        client = redislock.Client(silent, timeout=0.2)
        def work():
            try: client.balance("nobody")
            except redislock.Error: pass
        for _ in range(20): threading.Thread(target=work, daemon=True).start()
        time.sleep(0.19)
        class Last:
            def __del__(self, sleep=time.sleep): sleep(0.1)
        last = Last()
    """,
    "a thread that is waited for": """
        client = redislock.Client(silent, timeout=0.3)
        def work():
            try: client.withdraw_lua("nobody", 1)
            except redislock.OutcomeUnknownError: pass
        threading.Thread(target=work).start()
    """,
    "asyncio, the loop stopped and closed": """
        async def main():
            client = redislock.asyncio.Client(silent)
            calls = spread(client)
            await asyncio.sleep(0.05)
            loop.stop()
            await asyncio.sleep(1)
        loop = asyncio.new_event_loop()
        task = loop.create_task(main())
        logging.getLogger("asyncio").disabled = True
        loop.run_forever()
        loop.close()
    """,
    "asyncio, the loop stopped and left": """
        async def main():
            client = redislock.asyncio.Client(silent)
            calls = spread(client)
            await asyncio.sleep(0.05)
            loop.stop()
            await asyncio.sleep(1)
        loop = asyncio.new_event_loop()
        task = loop.create_task(main())
        logging.getLogger("asyncio").disabled = True
        loop.run_forever()
    """,
    "asyncio.run with calls under way": """
        async def main():
            global client
            client = redislock.asyncio.Client(silent)
            spread(client)
            await asyncio.sleep(0.05)
        asyncio.run(main())
    """,
    "asyncio, client and loop collected in mid-flight": """
        async def main():
            client = redislock.asyncio.Client(silent)
            calls = spread(client)
            await asyncio.sleep(0.05)
            for each in calls: each.cancel()
            del client, calls
            gc.collect()
            await asyncio.sleep(0.05)
        for _ in range(5): asyncio.run(main())
        gc.collect()
    """,
    "asyncio, several loops one after the other": """
        client = redislock.asyncio.Client(url)
        async def main():
            assert (await client.withdraw_watch("nobody", 1)).status == "missing"
            asyncio.ensure_future(client.withdraw_lua("nobody", 1))
        for _ in range(5): asyncio.run(main())
        assert len(client._waiters) <= 2, client._waiters
    """,
    "gevent, greenlets under way": """
        import gevent
        client = redislock.Client(silent)
        for how in HOWS: gevent.spawn(client.withdraw, how, "nobody", 1)
        gevent.sleep(0.05)
    """,
    "gevent, closed under way": """
        import gevent
        client = redislock.Client(silent)
        jobs = [gevent.spawn(client.withdraw, how, "nobody", 1) for how in HOWS]
        gevent.get_hub().handle_error = lambda *_: None
        gevent.sleep(0.05)
        client.close()
        gevent.joinall(jobs, timeout=5)
        assert all(isinstance(each.exception, redislock.Error) for each in jobs), jobs
    """,
    "gevent, client collected": """
        import gevent
        for _ in range(5):
            client = redislock.Client(url)
            jobs = [gevent.spawn(client.withdraw, how, "nobody", 1) for how in HOWS]
            gevent.joinall(jobs, raise_error=True)
            del client
            gc.collect()
    """,
    "closed while threads wait": """
        client = redislock.Client(silent, timeout=30)
        ended = []
        def work(how):
            try: client.withdraw(how, "nobody", 1)
            except redislock.Error as error: ended.append(type(error).__name__)
        threads = [threading.Thread(target=work, args=(how,)) for how in HOWS * 4]
        for each in threads: each.start()
        time.sleep(0.1)
        begin = time.monotonic()
        client.close()
        for each in threads: each.join()
        assert time.monotonic() - begin < 1
        assert sorted(set(ended)) == ["ClosedError", "OutcomeUnknownError"], ended
        try: client.balance("nobody")
        except redislock.ClosedError: pass
        else: sys.exit("usable after close")
    """,
    "closed by every thread at once": """
        for _ in range(20):
            client = redislock.Client(url)
            def work():
                try:
                    while True: client.withdraw_watch("nobody", 1)
                except redislock.Error: client.close()
            threads = [threading.Thread(target=work) for _ in range(4)]
            for each in threads: each.start()
            client.close()
            for each in threads: each.join()
    """,
    "collected while threads wait": """
        def begin():
            client = redislock.Client(silent, timeout=0.3)
            def work():
                try: client.withdraw_lua("nobody", 1)
                except redislock.Error: pass
            threads = [threading.Thread(target=work) for _ in range(4)]
            for each in threads: each.start()
            return threads
        threads = begin()
        for _ in range(20): gc.collect(); time.sleep(0.01)
        for each in threads: each.join()
        gc.collect()
    """,
    "used by a finalizer and at exit": """
        client = redislock.Client(url)
        class Last:
            def __del__(self):
                try: client.balance("nobody")
                except Exception: pass
        last = Last()
        loop = Last(); loop.self = loop
        atexit.register(client.withdraw_lua, "nobody", 1)
        atexit.register(client.close)
        client.balance("nobody")
    """,
    "the default client, never closed": """
        os.environ["REDIS_CONN"] = url
        for how in HOWS: redislock.withdraw(how, "nobody", 1)
    """,
    "a logger that raises": """
        class Bad(logging.Filter):
            def filter(self, record): raise ValueError("no")
        logging.getLogger("redislock").addFilter(Bad())
        logging.getLogger("redislock").setLevel(1)
        async def main():
            client = redislock.asyncio.Client(silent)
            task = asyncio.ensure_future(client.withdraw_lock("nobody", 1, timeout=0.2))
            await asyncio.sleep(0.25)
            task.cancel()
            del client
            gc.collect()
        logging.getLogger("asyncio").disabled = True
        for _ in range(3):
            try: asyncio.run(main())
            except ValueError: pass
        gc.collect()
        client = redislock.Client(silent, timeout=0.2)
        try: client.balance("nobody")
        except (redislock.Error, ValueError): pass
        del client
        gc.collect()
    """,
    "exit from a thread of its own kind": """
        import multiprocessing
        client = redislock.Client(url)
        client.balance("nobody")
        def child():
            client.withdraw_lua("nobody", 1)
        for method in ("fork", "spawn"):
            if method == "fork":
                job = multiprocessing.get_context(method).Process(target=child)
                job.start(); job.join(20)
                assert job.exitcode == 0, job.exitcode
    """,
}


@pytest.mark.parametrize("name", ENDS)
def test_28_exit_code_0_and_no_hang(name, server):
    with FakeServer(greeted(b"")) as silent, at_most(15):
        programs.run(PREAMBLE + dedent(ENDS[name]), server.url, silent.url, seconds=20)


@pytest.mark.parametrize("method", ["close", "exit"])
def test_28_close_tells_what_it_ended(method, proxy, server, connect, raw, user):
    client = connect(proxy.url, timeout=20)
    client.init(user, 100)
    client.withdraw_lua(user, 1)
    proxy.hold("reply")
    begin = proxy.carried["request"]
    calls = {
        "lua": in_background(lambda: client.withdraw_lua(user, 1)),
        "balance": in_background(lambda: client.balance(user)),
        "lock": in_background(lambda: client.withdraw_lock(user, 1)),
    }
    proxy.wait_for_bytes("request", begin + 300)
    eventually(lambda: raw.exists(client.keys(user)["lock"]))
    with at_most(1):
        client.__exit__(None, None, None) if method == "exit" else client.close()
        with pytest.raises(OutcomeUnknownError, match="closed"):
            calls["lua"].result(5)
        for name in ("balance", "lock"):
            with pytest.raises(ClosedError):
                calls[name].result(5)
    # What the lock strategy had acquired is released on the way out.
    eventually(lambda: not raw.exists(client.keys(user)["lock"]), 1)
    with pytest.raises(ClosedError):
        client.balance(user)
    client.close()
    assert server.running
