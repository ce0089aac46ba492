"""Scenario 25: a process that forks after connecting, in threads, asyncio and gevent."""

import programs
import pytest

# Each program makes a change that the proxy holds back, forks meanwhile, lets the child work on its
# own connections, and then takes the answer to its change on the connection of before.
THREADS = """
    import os, sys, threading, redislock
    client, user = redislock.Client(sys.argv[1]), sys.argv[2]
    for how in ("lua", "watch", "lock"):
        client.withdraw(how, user, 1)
    def held(): answers.append(client.withdraw_lua(user, 1))
    answers, threads = [], [threading.Thread(target=held) for _ in range(3)]
    print("ready"); input()
    for each in threads: each.start()
    print("under way"); input()
    pid = os.fork()
    if pid == 0:
        results = [client.withdraw(how, user, 1) for how in ("lua", "watch", "lock")]
        thread = threading.Thread(target=lambda: results.append(client.deposit(user, 1)))
        thread.start(); thread.join()
        print("child", *(str(each.status) for each in results))
        grandchild = os.fork()
        if grandchild == 0:
            print("grandchild", client.withdraw_watch(user, 1).status)
            os._exit(0)
        code = os.waitpid(grandchild, 0)[1]
        client.close()
        os._exit(code)
    print("exit", os.waitpid(pid, 0)[1]); input()
    for each in threads: each.join()
    answers.append(client.withdraw_watch(user, 1))
    print("parent", *(str(each.status) for each in answers))
    client.close()
"""

ASYNCIO = """
    import asyncio, os, sys, redislock.asyncio
    client, user = redislock.asyncio.Client(sys.argv[1]), sys.argv[2]
    async def child():
        results = [await client.withdraw(how, user, 1) for how in ("lua", "watch", "lock")]
        print("child", *(str(each.status) for each in results), (await client.deposit(user, 1)).status)
        await client.aclose()
    async def grandchild():
        print("grandchild", (await client.withdraw_watch(user, 1)).status)
    async def main():
        for how in ("lua", "watch", "lock"):
            await client.withdraw(how, user, 1)
        print("ready"); input()
        calls = [asyncio.ensure_future(client.withdraw_lua(user, 1)) for _ in range(3)]
        await asyncio.sleep(0.05)
        print("under way"); input()
        pid = os.fork()
        if pid == 0:
            asyncio.run(child())
            pid = os.fork()
            if pid == 0:
                client._closed = False
                asyncio.run(grandchild())
                os._exit(0)
            os._exit(os.waitpid(pid, 0)[1])
        print("exit", os.waitpid(pid, 0)[1]); input()
        answers = await asyncio.gather(*calls)
        answers.append(await client.withdraw_watch(user, 1))
        print("parent", *(str(each.status) for each in answers))
        await client.aclose()
    asyncio.run(main())
"""

GEVENT = """
    from gevent import monkey; monkey.patch_all()
    import os, sys, gevent, redislock
    client, user = redislock.Client(sys.argv[1]), sys.argv[2]
    gevent.sleep(0)  # from here on there is a hub
    for how in ("lua", "watch", "lock"):
        client.withdraw(how, user, 1)
    print("ready"); sys.stdin.readline()
    calls = [gevent.spawn(client.withdraw_lua, user, 1) for _ in range(3)]
    gevent.sleep(0.05)
    print("under way"); sys.stdin.readline()
    pid = os.fork()
    if pid == 0:
        jobs = [gevent.spawn(client.withdraw, how, user, 1) for how in ("lua", "watch", "lock")]
        jobs.append(gevent.spawn(client.deposit, user, 1))
        gevent.joinall(jobs)
        print("child", *(str(each.get().status) for each in jobs))
        pid = os.fork()
        if pid == 0:
            print("grandchild", client.withdraw_watch(user, 1).status)
            os._exit(0)
        os._exit(os.waitpid(pid, 0)[1])
    print("exit", os.waitpid(pid, 0)[1]); sys.stdin.readline()
    gevent.joinall(calls)
    answers = [each.get() for each in calls] + [client.withdraw_watch(user, 1)]
    print("parent", *(str(each.status) for each in answers))
    client.close()
"""


@pytest.mark.parametrize("source", [THREADS, ASYNCIO, GEVENT], ids=["threads", "asyncio", "gevent"])
def test_25_the_child_connects_anew_and_the_parent_is_undisturbed(source, proxy, server, connect, raw, user):
    connect(server.url).init(user, 1000)
    program = programs.start(source, proxy.url, user)
    said = iter(program.stdout.readline, "")

    def go_on(expected):
        assert next(said, program.stderr) == expected
        program.stdin.write("\n")
        program.stdin.flush()

    assert next(said) == "ready\n"
    proxy.hold("reply", later_too=False)
    before = proxy.carried["request"]
    connections = proxy.accepted
    program.stdin.write("\n")
    program.stdin.flush()
    proxy.wait_for_bytes("request", before)
    go_on("under way\n")
    assert next(said) == "child ok ok ok ok\n"
    assert next(said) == "grandchild ok\n"
    proxy.release()
    # Two for the child, shared and exclusive, and one for the grandchild.
    assert proxy.accepted - connections == 3
    go_on("exit 0\n")
    assert next(said) == "parent ok ok ok ok\n"
    programs.finish(program)
    assert proxy.accepted - connections == 3
    assert raw.get(f"redislock:{{{user}}}:balance") == str(1000 - 3 - 2 - 1 - 4)


def test_25_a_fork_while_threads_use_the_client_never_hangs_the_child(server, connect, user):
    connect(server.url).init(user, 10**9)
    said = programs.run(
        """
        import os, sys, threading, redislock
        client, user = redislock.Client(sys.argv[1]), sys.argv[2]
        stop = False
        done = [0] * 4
        def work(number):
            while not stop:
                done[number] += client.withdraw("lua" if number % 2 else "watch", user, 1).status == "ok"
        threads = [threading.Thread(target=work, args=(each,)) for each in range(4)]
        for each in threads: each.start()
        children = 0
        for _ in range(25):
            pid = os.fork()
            if pid == 0:
                ok = client.withdraw_lua(user, 1).status == "ok"
                ok = client.withdraw_watch(user, 1).status in ("ok", "conflict") and ok
                os._exit(not ok)
            children += os.waitpid(pid, 0)[1] == 0
        stop = True
        for each in threads: each.join()
        print(children, all(done))
        """,
        server.url,
        user,
    )
    assert said == "25 True\n"


def test_25_sockets_are_not_left_to_programs_that_are_started(server, connect, raw, user):
    said = programs.run(
        """
        import os, sys, redislock
        client = redislock.Client(sys.argv[1], client_name=sys.argv[2])
        client.withdraw_watch("nobody", 1); client.balance("nobody")
        # As os.system() and C code do it: every descriptor without O_CLOEXEC is handed on.
        os.posix_spawn("/bin/sh", ["sh", "-c", "ls -l /proc/$$/fd; echo; exec sleep 0"], os.environ)
        os.wait()
        """,
        server.url,
        user,
    )
    assert "socket:" not in said
    assert "anon_inode" not in said
