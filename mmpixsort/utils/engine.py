"""Imported first by the rooms that need mmengine: names it where it is not.

A bare `No module named 'mmengine'` would not say what to do, nor that
functional, losses, banks and samplers work without.
"""
from mmpixsort.compat import require

require('mmengine')
