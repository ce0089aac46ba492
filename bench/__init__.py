"""Side-by-side runs of redislock and other clients on one private server: `python -m bench`.

Not part of the package: nothing in it may import from here.
"""
