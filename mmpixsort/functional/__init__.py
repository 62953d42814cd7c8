"""Layer 0: functions of torch alone, without state or registry."""
from .clustering import spherical_kmeans
from .contrast import pixel_contrast
from .discriminative import discriminative_loss
from .image_sentence import image_sentence_contrast
from .meanshift import seed_mean_shift
from .noun_region import noun_region_contrast
from .pca import pca_rgb
from .reduction import masked_mean
from .retrieval import nearest_keys, vote_fractions
from .segsort import segment_sorting

__all__ = [
    'discriminative_loss', 'image_sentence_contrast', 'masked_mean',
    'nearest_keys', 'noun_region_contrast', 'pca_rgb', 'pixel_contrast',
    'seed_mean_shift', 'segment_sorting', 'spherical_kmeans',
    'vote_fractions'
]
