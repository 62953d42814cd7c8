"""mmpixsort.visualization."""
