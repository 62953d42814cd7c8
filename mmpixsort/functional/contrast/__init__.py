"""Pixel contrast: drawing of anchors, mining of pairs, loss and queues."""
