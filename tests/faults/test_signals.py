"""Scenarios 26 and 31: Ctrl-C in a blocking call, and SIGPIPE with its default action."""

import contextlib
import os
import signal
import time

import programs
import pytest
from waiting import eventually, in_background

INTERRUPTED = """
    import signal, sys, threading, time, redislock
    signal.signal(signal.SIGINT, signal.default_int_handler)
    client, user, amount = redislock.Client(sys.argv[1], timeout=20), sys.argv[2], 1
    for how in ("lua", "watch", "lock"):
        client.withdraw(how, user, 1)
    withdraw = lambda how: client.withdraw(how, user, 1, lock_wait=20)
    calls = {
        "balance": lambda: client.balance(user),
        "deposit": lambda: client.deposit(user, 1),
        "keyed": lambda: client.deposit(user, 1, idempotency_key="order"),
        "health": client.health,
        **{how: lambda how=how: withdraw(how) for how in ("lua", "lock", "watch")},
    }
    print("ready")
    for line in sys.stdin:
        name, others = line.split()
        threads = [threading.Thread(target=calls["balance"]) for _ in range(int(others))]
        for each in threads: each.start()
        while any(not each.is_alive() for each in threads): pass
        if threads: time.sleep(0.05)
        print("begin")
        try:
            print("ended", calls[name]())
        except KeyboardInterrupt:
            print(time.monotonic())
        for each in threads: each.join()
        print(client.balance(user) is not None)
    client.close()
"""


@pytest.fixture
def program(proxy, server, connect, user):
    """A program that makes the calls that it is told, on a proxied connection."""
    connect(server.url).init(user, 1000)
    started = programs.start(INTERRUPTED, proxy.url, user)
    assert started.stdout.readline() == "ready\n"
    yield started
    programs.finish(started)


def interrupt(program, name, blocked, *, others=0):
    """Begin the call, send SIGINT once it blocks, and return how long the answer took."""
    program.stdin.write(f"{name} {others}\n")
    program.stdin.flush()
    assert program.stdout.readline() == "begin\n"
    blocked()
    time.sleep(0.02)
    begin = time.monotonic()
    os.kill(program.pid, signal.SIGINT)
    return float(program.stdout.readline()) - begin


@pytest.mark.timing
@pytest.mark.parametrize("others", [0, 2], ids=["alone", "beside threads"])
@pytest.mark.parametrize("name", ["balance", "deposit", "keyed", "health", "lua", "lock", "watch"])
def test_26_keyboard_interrupt_within_200_ms(name, others, proxy, program, raw, user):
    lock = f"redislock:{{{user}}}:lock"
    proxy.hold("reply")
    before = proxy.carried["request"]
    took = interrupt(program, name, lambda: proxy.wait_for_bytes("request", before), others=others)
    if name == "lock":
        # Cleaned up, although the answer to the acquire has not even come.
        eventually(lambda: not raw.exists(lock), 1)
    proxy.release()
    assert took < 0.2
    assert program.stdout.readline() == "True\n"


@pytest.mark.timing
def test_26_while_waiting_for_a_lock_or_a_connection(proxy, program, raw, user):
    lock = f"redislock:{{{user}}}:lock"
    raw.set(lock, "another", px=20000)
    before = proxy.carried["request"]
    assert interrupt(program, "lock", lambda: proxy.wait_for_bytes("request", before + 500)) < 0.2
    assert program.stdout.readline() == "True\n"
    assert raw.get(lock) == "another"
    raw.delete(lock)
    proxy.drop()
    proxy.cut_all()
    accepted = proxy.accepted
    connecting = lambda: proxy.wait_for(lambda: proxy.accepted > accepted)  # noqa: E731
    assert interrupt(program, "balance", connecting) < 0.2
    proxy.release()
    proxy.cut_all()
    assert program.stdout.readline() == "True\n"


PIPE = """
    import signal, sys, redislock
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    client = redislock.Client(sys.argv[1], timeout=5, **dict(each.split("=") for each in sys.argv[2:]))
    print("ready")
    for line in sys.stdin:
        try:
            if line == "watch\\n":
                client.withdraw_watch("nobody", 1)
            elif line == "read\\n":
                client.balance("nobody")
            else:
                client.withdraw_lua("nobody", int(line))
        except redislock.Error as error:
            print(type(error).__name__)
        else:
            print("done")
    client.close()
"""


def survives(proxy, url, *options):
    program = programs.start(PIPE, url, *options)
    said = iter(program.stdout.readline, "")
    assert next(said) == "ready\n"

    def ask(line):
        program.stdin.write(f"{line}\n")
        program.stdin.flush()

    for number in range(60):
        call = ["read", "watch", 1][number % 3]
        ask(call)
        assert next(said, "died") != "died"
        # Idle connections are looked at first, busy ones are not: write into both.
        time.sleep(0.012 if number % 2 else 0)
        proxy.cut_all("rst" if number % 4 < 2 else "fin")
        ask(call)
        assert next(said, "died") != "died"
        proxy.drop("request")  # nobody reads: a large request is stuck in the middle
        proxy.release()
    programs.finish(program)


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_31_sigpipe_with_its_default_action(unix, proxied, server):
    proxy = proxied(server, unix=unix)
    survives(proxy, proxy.url)


def test_31_sigpipe_stays_as_the_program_set_it(proxy):
    said = programs.run(
        """
        import signal, sys, redislock
        seen = []
        signal.signal(signal.SIGPIPE, lambda *_: seen.append(1))
        client = redislock.Client(sys.argv[1])
        client.balance("nobody")
        client.close()
        print(seen, signal.getsignal(signal.SIGPIPE) is not None, signal.pthread_sigmask(0, []))
        """,
        proxy.url,
    )
    assert said == "[] True set()\n"


def test_26_a_signal_handler_that_does_not_raise_interrupts_nothing(proxy, server, connect, user):
    connect(server.url).init(user, 1000)
    program = programs.start(
        """
        import signal, sys, redislock
        seen = []
        signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
        client = redislock.Client(sys.argv[1], timeout=20)
        client.withdraw_lua(sys.argv[2], 1)
        print("ready"); input(); print("begin")
        print(client.withdraw_lua(sys.argv[2], 1).balance, len(seen))
        """,
        proxy.url,
        user,
    )
    assert program.stdout.readline() == "ready\n"
    proxy.hold("reply")
    program.stdin.write("\n")
    program.stdin.flush()
    assert program.stdout.readline() == "begin\n"
    for _ in range(3):
        time.sleep(0.06)
        with contextlib.suppress(ProcessLookupError):
            os.kill(program.pid, signal.SIGUSR1)
    time.sleep(0.06)
    proxy.release()
    assert programs.finish(program) == "998 3\n"


@pytest.mark.threads
def test_26_a_storm_of_signals_beside_busy_threads(server, connect, user):
    client = connect(server.url)
    client.init(user, 10**6)
    program = programs.start(
        """
        import signal, sys, threading, redislock
        client, user = redislock.Client(sys.argv[1]), sys.argv[2]
        stop, ok, begun = False, [0] * 5, 0
        def work(number):
            while not stop:
                ok[number] += client.withdraw(("lua", "watch", "lock")[number % 3], user, 1).status == "ok"
        threads = [threading.Thread(target=work, args=(each,)) for each in range(4)]
        for each in threads: each.start()
        inside, interrupted = False, 0
        def interrupt(*_):
            global inside
            if inside:  # once, and within the call
                inside = False
                raise KeyboardInterrupt
        signal.signal(signal.SIGINT, interrupt)
        print("ready")
        while interrupted < 60:
            begun += 1
            try:
                inside = True
                ok[4] += client.withdraw(("lua", "watch", "lock")[begun % 3], user, 1).status == "ok"
                inside = False
            except KeyboardInterrupt:
                interrupted += 1
        print("enough")
        stop = True
        for each in threads: each.join()
        client.close()
        print(sum(ok), interrupted)
        """,
        server.url,
        user,
    )
    assert program.stdout.readline() == "ready\n"
    stopped = in_background(program.stdout.readline)
    while not stopped.done():
        os.kill(program.pid, signal.SIGINT)
        time.sleep(0.004)
    assert stopped.result() == "enough\n"
    ok, interrupted = map(int, programs.finish(program).split())
    assert ok <= 10**6 - client.balance(user) <= ok + interrupted
    assert client.withdraw_lock(user, 1, lock_wait=0).status == "ok"


FREE = """
    import random, signal, sys, time, redis, redislock
    client, raw, prefix = redislock.Client(sys.argv[1]), redis.Redis.from_url(sys.argv[1]), sys.argv[2]
    class Interruption(BaseException): pass
    def interrupt(*_):
        raise Interruption
    signal.signal(signal.SIGALRM, interrupt)
    several = lambda name: client.multi_lock([name, name + "b"])
    makers = [client.lock, several, lambda name: client.semaphore(name, 2)]
    interrupted, dice = 0, random.Random(1)
    for turn in range(100_000):
        lock = makers[turn % 3](f"{prefix}-{turn}")
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.00001, 0.0003))
            lock.acquire()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Interruption:
            interrupted += 1
            if lock.local.token is not None: lock.release()  # it knows that it was taken
            if interrupted == 100: break
        else:
            lock.release()
    signal.setitimer(signal.ITIMER_REAL, 0)
    until = time.monotonic() + 10
    while (left := list(raw.scan_iter(f"{prefix}-*"))) and time.monotonic() < until: time.sleep(0.01)
    print(interrupted, [each for each in left])
"""


def test_26_who_is_interrupted_when_it_gets_a_free_lock_does_not_hold_it(start_server, user):
    server = start_server(port=0)
    assert programs.run(FREE, server.url, user).strip() == "100 []"
