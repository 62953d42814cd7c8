"""Instances: discriminative loss, mean shift, maps of ids and context."""
