"""The scripts of locks against a model: hypothesis looks for a story that they tell differently.

The model knows who holds what and who stands where, and nothing of keys, scores or time. Time is told:
leases end and processes fall silent when the story says so.
"""

import dataclasses
import os

import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from lock_scripts import Scripts, make_token

SETTINGS = settings(
    max_examples=300 if os.environ.get("CI") else 150,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,  # the same stories in every run
    database=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes: ask for it when needed
    suppress_health_check=list(HealthCheck),
)

NAMES = ["m0", "m1", "m2", "permits", "mixed", "shared"]
TARGETS = [
    ("m0",),
    ("m1",),
    ("permits",),
    ("mixed",),
    ("shared",),
    ("m0", "m1"),
    ("m1", "m2"),
    ("m0", "m1", "m2"),
]
# What a story is about: all locks, or a crowd before a few.
THEMES = [
    TARGETS,
    TARGETS[:1],
    TARGETS[2:3],
    TARGETS[3:4],
    TARGETS[4:5],
    [*TARGETS[:2], *TARGETS[5:]],
    TARGETS[5:],
]
LIMIT = 2
TOKENS = [make_token(f"t{each}") for each in range(7)]
CHANNELS = [b"redislock:wake:one", b"redislock:wake:two"]
YOUNGEST = 2**53

channels = st.sampled_from(CHANNELS)


def kind_of(name, number):
    if name.startswith("m") and name != "mixed":
        return "m"
    return "wr"[number % 3 > 0] if name == "shared" else "p"


def limit_of(name, number):
    return {"permits": LIMIT, "mixed": 1 + number % 3}.get(name, 1)


@dataclasses.dataclass(eq=False)
class Waiter:
    """Who stands in a line."""

    number: int
    names: tuple
    ticket: int
    handed: bool = False

    def __lt__(self, other):
        return (self.ticket, TOKENS[self.number]) < (other.ticket, TOKENS[other.number])


class Lock:
    """One lock as it is supposed to be: holders and line, of numbers of tokens."""

    def __init__(self, name):
        self.name = name
        self.holders = set()
        self.line = []
        self.state = {}  # of the processes that wait: "alive", "silent", or nothing known

    def free(self, number):
        kind = kind_of(self.name, number)
        if kind == "p":
            return len(self.holders) < limit_of(self.name, number)
        writing = any(kind_of(self.name, each) != "r" for each in self.holders)
        return not self.holders or (kind == "r" and not writing)

    def waiter(self, number):
        return next((each for each in self.line if each.number == number), None)

    def leave(self, number):
        self.line = [each for each in self.line if each.number != number]

    def stand(self, waiter):
        self.line = sorted([*self.line, waiter])


class Model:
    """All locks, and how they are handed on."""

    def __init__(self):
        self.locks = {name: Lock(name) for name in NAMES}

    def hand_over(self, name, own=None):
        """Return whether `own` got it, and whether somebody alive has to wait."""
        lock = self.locks[name]
        got = False
        if kind_of(name, 0) == "m" and lock.holders:
            return False, True
        for each in list(lock.line):
            state = lock.state.get(CHANNELS[each.number % 2])
            held = each.number in lock.holders
            if each.handed and not held:
                self.leave_all(each)
                if state == "alive":
                    lock.state[CHANNELS[each.number % 2]] = "silent"
            elif state is None:
                self.leave_all(each)
            elif state == "alive" and not held:
                if not lock.free(each.number):
                    return got, True
                if not self.hand_all(each):
                    continue  # it has not stood long enough to have locks kept for it
                got = got or each.number == own
                each.handed = each.number != own
        return got, False

    def leave_all(self, waiter):
        for name in waiter.names:
            self.locks[name].leave(waiter.number)

    def hand_all(self, waiter):
        locks = [self.locks[name] for name in waiter.names]
        several = len(locks) > 1
        if several and not all(lock.free(waiter.number) and self.is_next(lock, waiter) for lock in locks):
            return False
        for lock in locks:
            lock.holders.add(waiter.number)
        return True

    def is_next(self, lock, waiter):
        for each in lock.line:
            if each is waiter:
                break
            alive = lock.state.get(CHANNELS[each.number % 2]) == "alive"
            single = len(each.names) == 1
            if single and alive and not each.handed and each.number not in lock.holders:
                return False
        return True

    def acquire(self, names, number, waiting, barging, ticket):
        locks = [self.locks[name] for name in names]
        held = [lock for lock in locks if number in lock.holders]
        if len(held) == len(locks):
            return self.got(locks, number)
        for lock in held:
            lock.holders.remove(number)
        dropped = [lock.name for lock in held]
        ahead = not barging and sum(self.blocked(lock, waiting) for lock in locks) > 0
        if not ahead and all(lock.free(number) for lock in locks):
            return self.got(locks, number)
        if waiting:
            before = next((each for each in (lock.waiter(number) for lock in locks) if each), None)
            for lock in locks:
                lock.leave(number)
                lock.state[CHANNELS[number % 2]] = "alive"
            ticket = before.ticket if before else ticket or YOUNGEST
            waiter = Waiter(number, names, ticket)
            for lock in locks:
                lock.stand(waiter)
            own, _ = self.hand_over(names[0], number)
            if own:
                return self.got(locks, number)
        for name in dropped:
            self.hand_over(name)
        return "queued" if waiting else "busy"

    def blocked(self, lock, waiting):
        if not lock.line or waiting:
            return bool(lock.line)
        _, alive = self.hand_over(lock.name)
        return alive

    def got(self, locks, number):
        for lock in locks:
            lock.holders.add(number)
            lock.leave(number)
        return "held"

    def claim(self, names, number):
        locks = [self.locks[name] for name in names]
        if all(number in lock.holders for lock in locks):
            return self.got(locks, number)
        for lock in locks:
            if waiter := lock.waiter(number):
                waiter.handed = False
                lock.state[CHANNELS[number % 2]] = "alive"
        return "lost"

    def release(self, names, number):
        ours = all(number in self.locks[name].holders for name in names)
        for name in names:
            self.locks[name].holders.discard(number)
            self.locks[name].leave(number)
        for name in names:
            self.hand_over(name)
        return ours

    def refresh(self, names, channel):
        for name in names:
            self.locks[name].state[channel] = "alive"
            self.hand_over(name)


class Story(RuleBasedStateMachine):
    """Tells the same story to the scripts and to the model."""

    def __init__(self, raw, prefix):
        super().__init__()
        self.raw = raw
        self.prefix = prefix
        self.scripts = Scripts(raw, timeless=True)
        self.model = Model()
        self.bound = {}  # number of a token: what it is used for
        self.tickets = {}
        self.fences = dict.fromkeys(NAMES, 0)
        self.waits = 0

    def called(self, names):
        every = [f"{self.prefix}-{name}".encode() for name in names]
        return every if len(every) > 1 else every[0]

    def saw(self, names, fences):
        for name, fence in zip(names, fences.split(b","), strict=True):
            if int(fence) != self.fences[name]:
                assert int(fence) > self.fences[name], "fences grow"
            self.fences[name] = int(fence)

    def ask(self, names, number, *, waiting=False, barging=False):
        self.waits += 1
        ticket = self.tickets.get(number, 0)
        said = self.scripts.acquire(
            self.called(names),
            TOKENS[number],
            kind_of(names[0], number),
            limit=limit_of(names[0], number),
            wait=self.waits if waiting else 0,
            channel=CHANNELS[number % 2],
            ticket=ticket,
            barging=barging,
            detect=False,
        )
        expected = self.model.acquire(names, number, waiting, barging, ticket)
        assert said[0].decode() == expected
        if expected == "held":
            self.saw_held(names, number, said[1])
        if expected == "queued":
            self.learn_ticket(number, int(said[1]))
        if expected == "busy" and number in self.bound:
            del self.bound[number]
        self.compare()

    def saw_held(self, names, number, fences):
        self.tickets.pop(number, None)
        if len(names) == 1 and names[0].startswith("m") and names[0] != "mixed":
            self.saw(names, fences)
        assert fences

    def learn_ticket(self, number, ticket):
        assert self.tickets.get(number, ticket) == ticket, "who comes back has its old place"
        self.tickets[number] = ticket
        for lock in self.model.locks.values():
            if waiter := lock.waiter(number):
                assert waiter.ticket in (YOUNGEST, ticket)
                waiter.ticket = ticket

    def compare(self):
        names = sorted({name for target in self.theme for name in target})
        for name, seen in zip(names, self.scripts.look([self.called([each]) for each in names]), strict=True):
            lock = self.model.locks[name]
            assert seen.holders == {TOKENS[each] for each in lock.holders}, name
            assert seen.line == [TOKENS[each.number] for each in lock.line], name
            assert seen.wishes == set(seen.line), "no wish without a place"
            assert seen.kinds == seen.leases, "no kind without a lease"
            assert seen.fence >= self.fences[name]
            self.fences[name] = seen.fence
        assert len(self.model.locks["permits"].holders) <= LIMIT
        readers = {kind_of("shared", each) for each in self.model.locks["shared"].holders}
        assert len(readers) <= 1
        assert "w" not in readers or len(self.model.locks["shared"].holders) == 1

    # --- the story

    @initialize(theme=st.sampled_from(THEMES))
    def begin(self, theme):
        self.theme = theme

    def pick(self, data, numbers):
        return data.draw(st.sampled_from(sorted(numbers)))

    @precondition(lambda self: len(self.bound) < len(TOKENS))
    @rule(data=st.data(), barging=st.booleans())
    def try_to_get(self, data, barging):
        number = self.pick(data, set(range(len(TOKENS))) - set(self.bound))
        self.bound[number] = data.draw(st.sampled_from(self.theme))
        self.ask(self.bound[number], number, barging=barging)

    @precondition(lambda self: len(self.bound) < len(TOKENS))
    @rule(data=st.data())
    def get_or_wait(self, data):
        number = self.pick(data, set(range(len(TOKENS))) - set(self.bound))
        self.bound[number] = data.draw(st.sampled_from(self.theme))
        self.ask(self.bound[number], number, waiting=True)

    @precondition(lambda self: self.bound)
    @rule(data=st.data())
    def ask_again(self, data):
        number = self.pick(data, self.bound)
        self.ask(self.bound[number], number, waiting=True)

    @precondition(lambda self: self.handed())
    @rule(data=st.data())
    def claim(self, data):
        self.come(self.pick(data, self.handed()))

    @precondition(lambda self: self.bound)
    @rule(data=st.data())
    def claim_at_any_time(self, data):
        self.come(self.pick(data, self.bound))

    def handed(self):
        return {each.number for lock in self.model.locks.values() for each in lock.line if each.handed}

    def come(self, number):
        names = self.bound[number]
        said = self.scripts.claim(
            self.called(names), TOKENS[number], kind_of(names[0], number), channel=CHANNELS[number % 2]
        )
        assert said[0].decode() == self.model.claim(names, number)
        self.compare()

    @precondition(lambda self: self.bound)
    @rule(data=st.data())
    def leave(self, data):
        number = self.pick(data, self.bound)
        names = self.bound.pop(number)
        self.tickets.pop(number, None)
        said = self.scripts.release(self.called(names), TOKENS[number], kind_of(names[0], number))
        assert said == self.model.release(names, number)
        self.compare()

    @precondition(lambda self: any(lock.holders for lock in self.model.locks.values()))
    @rule(data=st.data())
    def a_lease_ends(self, data):
        held = [(name, each) for name, lock in self.model.locks.items() for each in sorted(lock.holders)]
        name, number = data.draw(st.sampled_from(held))
        self.model.locks[name].holders.remove(number)
        self.scripts.end_lease(self.called([name]), TOKENS[number])

    @rule(channel=channels, forgotten=st.booleans())
    def a_process_falls_silent(self, channel, forgotten):
        for name in {name for target in self.theme for name in target}:
            state = self.model.locks[name].state
            if channel not in state:
                continue
            self.scripts.fall_silent(self.called([name]), channel, 10**11 if forgotten else 10**8)
            if forgotten:
                del state[channel]
            else:
                state[channel] = "silent"

    @rule(channel=channels)
    def a_process_speaks(self, channel):
        names = sorted({name for target in self.theme for name in target})
        self.scripts.refresh(*(self.called([name]) for name in names), channel=channel)
        self.model.refresh(names, channel)
        self.compare()


def test_locks_are_what_the_model_says(server, user):
    told = iter(range(10**9))
    with redis.Redis.from_url(server.url) as raw:
        run_state_machine_as_test(lambda: Story(raw, f"{user}-{next(told)}"), settings=SETTINGS)
