"""Pixel contrast: sampling of anchors, mining of pairs, loss and queues."""
