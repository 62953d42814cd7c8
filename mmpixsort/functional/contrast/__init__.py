"""Contrast of anchors with labelled keys: sampling, mining, tiles, queues."""
