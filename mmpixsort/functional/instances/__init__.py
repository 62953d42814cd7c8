"""Functions for instances: losses, mean shift, maps of ids and context."""
