"""Instances: the discriminative loss, mean shift, ids, context."""
