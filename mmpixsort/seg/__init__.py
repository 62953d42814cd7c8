"""mmpixsort.seg."""
