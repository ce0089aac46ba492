"""Deadlocks in any tangle of locks: whoever is told of one is stuck, and whoever is not gets through.

What shows it is the server: everybody who can goes on and gives back what it holds, until nobody can.
"""

import os
import random

import pytest
from lock_scripts import Scripts, make_token

STORIES = 400 if os.environ.get("CI") else 100
OWNERS = 5
WISHES = [
    (("m0",), "m"),
    (("m1",), "m"),
    (("m2",), "m"),
    (("m0", "m1"), "m"),
    (("m1", "m2"), "m"),
    (("permits",), "p"),
    (("shared",), "r"),
    (("shared",), "w"),
]


class Tangle:
    """Owners who take what they can, and else get in line once."""

    def __init__(self, scripts, prefix):
        self.scripts = scripts
        self.prefix = prefix
        self.numbers = 0
        self.held = {each: [] for each in range(OWNERS)}  # names, kind and token of each
        self.waiting = {}

    def called(self, names):
        every = [f"{self.prefix}-{each}".encode() for each in names]
        return every if len(every) > 1 else every[0]

    def ask(self, wish, token, **more):
        names, kind = wish
        return self.scripts.acquire(self.called(names), token, kind, limit=2, **more)[0].decode()

    def want(self, owner, wish):
        """Return whether the owner was told that waiting would never end."""
        names, _ = wish
        if owner in self.waiting or any(set(names) & set(each[0][0]) for each in self.held[owner]):
            return False  # a wait for oneself is no deadlock
        self.numbers += 1
        token = make_token(f"o{owner}", self.numbers)
        said = self.ask(wish, token)
        if said == "busy":
            said = self.ask(wish, token, wait=self.numbers)
        if said == "held":
            self.held[owner].append((wish, token))
            return False
        self.waiting[owner] = wish, token
        if said == "deadlock":  # it waits all the same, to see what becomes of it
            self.ask(wish, token, wait=self.numbers, detect=False)
        return said == "deadlock"

    def let_all_go_on(self):
        progress = True
        while progress:
            progress = False
            for owner in range(OWNERS):
                if owner in self.waiting:
                    wish, token = self.waiting[owner]
                    if self.scripts.claim(self.called(wish[0]), token, wish[1])[0] == b"held":
                        del self.waiting[owner]
                        self.held[owner].append((wish, token))
                        progress = True
                elif self.held[owner]:
                    for (names, kind), token in self.held[owner]:
                        assert self.scripts.release(self.called(names), token, kind)
                    self.held[owner].clear()
                    progress = True


@pytest.mark.parametrize("about", ["all", "mutexes", "permits", "shared"])
def test_who_is_told_is_stuck_and_who_is_not_gets_through(about, bare, user):
    scripts = Scripts(bare, timeless=True)
    wishes = {
        "all": WISHES,
        "mutexes": WISHES[:5],
        "permits": WISHES[1:6],
        "shared": [*WISHES[:2], *WISHES[5:]],
    }
    victims = 0
    for seed in range(STORIES):
        dice = random.Random(seed)  # the same stories in every run
        bare.delete(b"redislock:waits:host:1:nonce")
        tangle = Tangle(scripts, f"{user}-{seed}")
        story = [(dice.randrange(OWNERS), dice.choice(wishes[about])) for _ in range(30)]
        victim = next((owner for owner, wish in story if tangle.want(owner, wish)), None)
        tangle.let_all_go_on()
        if victim is None:
            assert not tangle.waiting, f"story {seed}: a deadlock that nobody was told of"
        else:
            assert victim in tangle.waiting, f"story {seed}: no deadlock at all"
            victims += 1
    assert STORIES // 10 < victims < STORIES
