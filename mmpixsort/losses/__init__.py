"""mmpixsort.losses."""
