"""mmpixsort.utils."""
