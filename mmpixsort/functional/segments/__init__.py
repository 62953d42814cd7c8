"""Segments of pixels: clustering, prototypes, sorting, graph, neighbours."""
