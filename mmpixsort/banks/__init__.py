"""mmpixsort.banks."""
