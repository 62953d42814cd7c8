"""mmpixsort.datasets."""
