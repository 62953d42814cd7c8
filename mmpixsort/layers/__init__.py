"""mmpixsort.layers."""
