"""mmpixsort.functional."""
