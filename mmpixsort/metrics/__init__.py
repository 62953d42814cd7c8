"""mmpixsort.metrics."""
