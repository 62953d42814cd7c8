"""Segments: clustering, prototypes, segment sorting, graph, nearest keys."""
