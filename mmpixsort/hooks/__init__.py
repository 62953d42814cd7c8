"""mmpixsort.hooks."""
