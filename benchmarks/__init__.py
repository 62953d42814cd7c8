"""The benchmark suite: cases, strong peers, and an honest protocol.

`python -m benchmarks --help` says how to run it, docs/benchmarks.md what
came out. It belongs to the checkout and is not part of the package.
"""
