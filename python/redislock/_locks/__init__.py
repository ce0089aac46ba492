"""Locks of both faces: their `base`, the blocking and the awaited ones, the clients' factories."""
