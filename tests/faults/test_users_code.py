"""Scenario 28, and code of the user that runs inside of ours.

Finalizers, log filters and callbacks may do anything at any time: close the client, raise, or end
the wait of another greenlet. None of it may cost an answer, or the process.
"""

import os
import signal
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
