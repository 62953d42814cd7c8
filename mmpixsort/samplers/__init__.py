"""mmpixsort.samplers."""
