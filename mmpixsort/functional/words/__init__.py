"""Words and regions: contrast, cleaning, attention and naming of regions."""
from .image_sentence import image_sentence_contrast
from .noun_region import noun_region_contrast
from .region_cleanup import absorb_slivers, connected_parts, merge_similar
from .region_naming import name_regions, paint_regions
from .regions import pool_regions, resize_ids
from .spectral import spectral_embedding

__all__ = [
    'absorb_slivers', 'connected_parts', 'image_sentence_contrast',
    'merge_similar', 'name_regions', 'noun_region_contrast', 'paint_regions',
    'pool_regions', 'resize_ids', 'spectral_embedding'
]
