"""Scenario 28, and code of the user that runs inside of ours.

Finalizers, log filters and callbacks may do anything at any time: close the client, raise, or end
the wait of another greenlet. None of it may cost an answer, or the process.
"""

import os
import signal
import sys
from textwrap import dedent

import programs
import pytest

PREAMBLE = """
    import gc, logging, sys, time
    import redislock
    from redislock import _core
    url = sys.argv[1]
    client = redislock.Client(url)
"""


def run(source, *arguments):
    return programs.run(dedent(PREAMBLE) + dedent(source), *arguments)


def test_28_a_finalizer_may_close_the_driver_that_hands_out_answers(server):
    said = run(
        """
        driver = _core.LoopDriver(client._options)
        class Closer:
            def __init__(self): self.itself = self
            def __del__(self): driver.close(); ended.append("closed")
        ended, answers = [], []
        gc.disable()
        for each in range(500): driver.submit(client._accounts.balance("nobody", None), each)
        driver.flush()
        time.sleep(0.2)  # so that most of them come at once
        gc.collect()
        Closer()
        gc.set_threshold(100)
        gc.enable()
        while driver.fileno() >= 0: answers += driver.pump()
        gc.collect()
        print(ended, all(len(each) == 3 for each in answers))
        """,
        server.url,
    )
    assert said == "['closed'] True\n"


def test_28_an_exit_with_something_to_log_is_a_good_one(start_server):
    server = start_server(port=0)
    # The loop ends with a lock to release, and the server ends before that.
    source = """
        import asyncio, redislock.asyncio
        client = redislock.asyncio.Client(url, timeout=30)
        async def main():
            await client.init("alice", 5)
            print("stop it"); input()
            call = asyncio.ensure_future(client.withdraw_lock("alice", 1))
            await asyncio.sleep(0.05)
            call.cancel()
            await asyncio.sleep(0)
            loop.stop()
        loop = asyncio.new_event_loop()
        loop.create_task(main())
        loop.run_forever()
        loop.close()
        print("kill it"); input()
    """
    program = programs.start(dedent(PREAMBLE) + dedent(source), server.url)
    acts = {"stop it\n": lambda: os.kill(server.pid, signal.SIGSTOP), "kill it\n": server.kill}
    for expected, act in acts.items():
        assert program.stdout.readline() == expected
        act()
        program.stdin.write("\n")
        program.stdin.flush()
    programs.finish(program)


FILTERED = """
    class Bad(logging.Filter):
        def filter(self, record): raise ValueError("no")
    log = logging.getLogger("redislock")
    log.addFilter(Bad())
    log.setLevel(1)
    sys.unraisablehook = lambda seen: reported.append(type(seen.exc_value).__name__)
    reported = []
    redislock.Client(url).init("alice", 5)  # the server knows the scripts of init alone
"""

FACES = {
    "threads": """
        print(client.deposit("alice", 1).status, client.withdraw_lua("alice", 1).status)
    """,
    "asyncio": """
        import asyncio, redislock.asyncio
        async def main():
            async with redislock.asyncio.Client(url) as own:
                calls = own.deposit("alice", 1), own.withdraw_lua("alice", 1)
                print(*[each.status for each in await asyncio.wait_for(asyncio.gather(*calls), 5)])
        asyncio.run(main())
    """,
    "gevent": """
        import gevent
        jobs = [gevent.spawn(client.deposit, "alice", 1), gevent.spawn(client.withdraw_lua, "alice", 1)]
        print(*[each.get(timeout=5).status for each in jobs])
    """,
}


@pytest.mark.parametrize("face", FACES)
def test_a_log_filter_that_raises_costs_no_answer(face, start_server):
    server = start_server(port=0)  # that knows no script yet, which is worth a line in the log
    said = run(dedent(FILTERED) + dedent(FACES[face]) + "print(set(reported))", server.url)
    assert said == "ok ok\n{'ValueError'}\n"


STRAY = """
    import gevent, socket
    from gevent import hub
    def waits():
        try: own.balance("nobody")
        except BaseException as error: seen.append(type(error).__name__)
        gevent.sleep(0.1)
        seen.append("slept well")
    seen = []
"""


def test_27_an_answer_on_its_way_does_not_wake_a_greenlet_out_of_something_else(server):
    said = run(
        dedent(STRAY)
        + dedent("""
        own = client
        own.balance("nobody")
        def answered():
            own.balance("nobody")
            other.throw(KeyError("from a neighbour whose answer came in the same batch"))
        first, other = hub.RawGreenlet(answered, gevent.get_hub()), hub.RawGreenlet(waits, gevent.get_hub())
        for each in (first, other): gevent.get_hub().loop.run_callback(each.switch)
        gevent.sleep(0.5)
        print(*seen)
        """),
        server.url,
    )
    assert said == "KeyError slept well\n"


def test_27_killed_before_a_close_is_told(server):
    said = run(
        dedent(STRAY)
        + dedent("""
        silent = socket.create_server(("127.0.0.1", 0))
        own = redislock.Client(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout=20)
        job = gevent.spawn(waits)
        gevent.sleep(0.05)
        job.kill(KeyError("enough"), block=False)
        own.close()
        job.join(5)
        print(*seen)
        """),
        server.url,
    )
    assert said == "KeyError slept well\n"


def test_threads_do_not_mind_what_others_import_meanwhile(server):
    said = run(
        """
        import threading
        assert "asyncio" not in sys.modules
        client.balance("nobody")
        stop, failed = False, []
        def work():
            while not stop:
                try: client.balance("nobody")
                except Exception as error: failed.append(error); return
        sys.setswitchinterval(1e-5)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for each in threads: each.start()
        import asyncio, gevent
        stop = True
        for each in threads: each.join()
        print(failed)
        """,
        server.url,
    )
    assert said == "[]\n"


COLLECTED = """
    import os
    def descriptors(): return len(os.listdir("/proc/self/fd"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("nested", [False, True], ids=["refcounted", "in a cycle"])
@pytest.mark.parametrize("face", ["asyncio", "gevent"])
def test_28_a_client_that_is_collected_leaves_nothing_open(face, nested, server):
    said = run(
        dedent(COLLECTED)
        + dedent(
            {
                "asyncio": """
                import asyncio, redislock.asyncio
                async def once():
                    own = redislock.asyncio.Client(url)
                    if len(sys.argv) > 2: own.itself = own
                    await own.balance("nobody")
                async def main():
                    for _ in range(3): await once(); gc.collect()
                    begin = descriptors()
                    for _ in range(10): await once(); gc.collect()
                    await once()  # the next one works where a collected one has been
                    gc.collect()
                    print(descriptors() - begin)
                    for _ in range(3):
                        own = redislock.asyncio.Client(url)
                        print((await asyncio.gather(*[own.balance("nobody") for _ in range(10)])).count(None))
                asyncio.run(main())
            """,
                "gevent": """
                import gevent
                def once():
                    own = redislock.Client(url)
                    if len(sys.argv) > 2: own.itself = own
                    own.balance("nobody")
                gevent.sleep(0)
                for _ in range(3): once(); gc.collect()
                begin = descriptors()
                for _ in range(10): once(); gc.collect()
                print(descriptors() - begin)
                for _ in range(3):
                    own = redislock.Client(url)
                    jobs = [gevent.spawn(own.balance, "nobody") for _ in range(10)]
                    print([each.get() for each in jobs].count(None))
            """,
            }[face]
        ),
        server.url,
        *(["nested"] if nested else []),
    )
    assert said == "0\n10\n10\n10\n"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_28_a_client_collected_by_another_thread_leaves_its_loop_alone(server):
    said = run(
        dedent(COLLECTED)
        + dedent("""
        import asyncio, threading, redislock.asyncio
        shared = []
        async def main():
            begin = descriptors()
            for _ in range(10):
                shared.append(redislock.asyncio.Client(url))
                await shared[0].balance("nobody")
                thread = threading.Thread(target=shared.clear)
                thread.start(); thread.join()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            print(descriptors() - begin)
        asyncio.run(main())
        """),
        server.url,
    )
    assert said == "0\n"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("way", ["destroyed", "left"])
def test_28_hubs_of_ended_threads_leave_no_connection_behind(way, server):
    said = run(
        """
        import gevent, os, threading
        own = redislock.Client(url)
        def work():
            gevent.sleep(0)
            own.balance("nobody")
            if sys.argv[2] == "destroyed": gevent.get_hub().destroy()
        for _ in range(10):
            thread = threading.Thread(target=work)
            thread.start(); thread.join()
        print(len(own._waiter._hubs))
        pid = os.fork()
        if pid == 0:
            own.balance("nobody")
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        own.close()
        """,
        server.url,
        way,
    )
    assert int(said) <= 2  # greenlet learns of a thread's end a little later


def test_28_the_default_client_may_be_made_by_a_thread_during_a_fork(server):
    said = run(
        """
        import os, threading
        from redislock import _default
        os.environ["REDIS_CONN"] = url
        _default._lock.acquire()  # a thread of the parent is making the client
        def child():
            if (pid := os.fork()) == 0:
                os._exit(redislock.balance("nobody") is not None)
            print(os.waitpid(pid, 0)[1])
        thread = threading.Thread(target=child)
        thread.start(); thread.join(10)
        """,
        server.url,
    )
    assert said == "0\n"
