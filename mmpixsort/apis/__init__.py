"""mmpixsort.apis."""
