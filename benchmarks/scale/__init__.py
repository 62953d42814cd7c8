"""Curves of time and memory over size, for this package alone.

`python -m benchmarks.scale --help` explains how to run it, and docs/scale.md
has the results.
"""
