"""Instances: the discriminative loss, mean shift, ids, context."""
from .context import context_consistency, context_histograms
from .discriminative import discriminative_loss
from .meanshift import seed_mean_shift
from .vmf_meanshift import vmf_mean_shift

__all__ = [
    'context_consistency', 'context_histograms', 'discriminative_loss',
    'seed_mean_shift', 'vmf_mean_shift'
]
