"""Entities against a model of a few lines: hypothesis looks for a story that they tell differently."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, rule, run_state_machine_as_test

import redislock

SETTINGS = settings(
    max_examples=150 if os.environ.get("CI") else 30,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,  # the same stories in every run
    database=None,
    suppress_health_check=list(HealthCheck),
)

names = st.sampled_from(["a", "b"])
values = st.binary(max_size=40) | st.sampled_from([b"", b"\r\n", b"=", b"*"])


class Story(RuleBasedStateMachine):
    """Tells the same story to a client and to the model: a value and an etag for each name."""

    etags = Bundle("etags")  # any that ever was, of whichever entity

    def __init__(self, client, prefix):
        super().__init__()
        self.client = client
        self.prefix = prefix
        self.latest = {}
        self.used = set()

    def entity(self, name):
        return self.client.entity(f"{self.prefix}:{name}", codec="bytes")

    def now(self, name):
        return self.latest.get(name, (None, None))

    def write(self, name, value, allowed, what):
        if not allowed:
            with pytest.raises(redislock.ConcurrencyError) as met:
                what()
            assert (met.value.value, met.value.etag) == self.now(name)
            return multiple()
        etag = what()
        assert etag not in self.used
        self.used.add(etag)
        self.latest[name] = value, etag
        return etag

    @rule(target=etags, name=names, value=values)
    def put(self, name, value):
        return self.write(name, value, True, lambda: self.entity(name).put(value))

    @rule(target=etags, name=names, value=values)
    def create(self, name, value):
        return self.write(name, value, name not in self.latest, lambda: self.entity(name).create(value))

    @rule(target=etags, name=names, value=values, etag=etags)
    def put_if(self, name, value, etag):
        allowed = self.now(name)[1] == etag
        return self.write(name, value, allowed, lambda: self.entity(name).put(value, if_match=etag))

    @rule(target=etags, name=names, value=values)
    def put_if_latest(self, name, value):
        etag = self.entity(name).get().etag
        return self.write(name, value, True, lambda: self.entity(name).put(value, if_match=etag))

    @rule(target=etags, name=names)
    def update(self, name):
        def longer(value):
            return (value or b"") + b"x"

        value = longer(self.now(name)[0])
        return self.write(name, value, True, lambda: self.entity(name).update(longer).etag)

    @rule(name=names)
    def delete(self, name):
        assert self.entity(name).delete() is (name in self.latest)
        self.latest.pop(name, None)

    @rule(name=names, etag=st.none() | etags)
    def delete_if(self, name, etag):
        value, latest = self.now(name)
        if etag == latest:
            assert self.entity(name).delete(if_match=etag) is (etag is not None)
            self.latest.pop(name, None)
        else:
            with pytest.raises(redislock.ConcurrencyError) as met:
                self.entity(name).delete(if_match=etag)
            assert (met.value.value, met.value.etag) == (value, latest)

    @rule(name=names)
    def get(self, name):
        assert self.entity(name).get() == self.now(name)


@pytest.mark.parametrize("backend", ["server", "memory"])
def test_entities_are_what_the_model_says(request, backend, user):
    url = request.getfixturevalue("server").url if backend == "server" else "memory://"
    told = iter(range(10**9))
    with redislock.Client(url) as client:
        run_state_machine_as_test(lambda: Story(client, f"{user}-{next(told)}"), settings=SETTINGS)
