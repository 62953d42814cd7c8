"""The benchmark suite, which compares this package with other code.

`python -m benchmarks --help` explains how to run it, and docs/benchmarks.md
has the results. It belongs to the repository and is not part of the package.
"""
