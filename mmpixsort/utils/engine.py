"""Raise an error with a remedy on import if mmengine is not installed.

Packages that need mmengine import this module first, as the plain message
`No module named 'mmengine'` gives no remedy.
"""
from mmpixsort.compat import require

require('mmengine')
