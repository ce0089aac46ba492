"""Whole runs on real servers, in-process: the failure, then the cure.

Each scenario takes URLs and settings and returns what happened; it prints nothing and reads no
environment variable beyond what the clients read. The command line, Locust and
`redislock.testing` stand on them.
"""
