"""Pictures of one image: its maps, its embedding, and a panel of all."""
from typing import Dict, Optional, Sequence

import numpy as np

from .panels import outline_ids, paint_labels, side_by_side


def sample_pictures(image: np.ndarray,
                    *,
                    truth: Optional[np.ndarray] = None,
                    prediction: Optional[np.ndarray] = None,
                    groups: Optional[np.ndarray] = None,
                    embedding: Optional[np.ndarray] = None,
                    palette: Sequence = ()) -> Dict[str, np.ndarray]:
    """Return pictures of an image by their kind.

    Args:
        image: Picture (H, W, 3), uint8 RGB.
        truth: Map (H, W) of true labels; negative ones are black.
        prediction: Map (H, W) of predicted labels.
        groups: Map (H, W) of groups, drawn as outlines on the image.
        embedding: Picture (H, W, 3) of the embedding.
        palette: RGB colours of the labels; if empty, colours that differ
            clearly.

    Returns:
        Dict with 'prediction' and 'embedding', if given, and 'panel', which
        shows the image and all maps side by side.
    """
    parts = {'image': np.ascontiguousarray(image)}
    if truth is not None:
        parts['ground truth'] = paint_labels(truth, palette)
    if prediction is not None:
        parts['prediction'] = paint_labels(prediction, palette)
    if groups is not None:
        parts['groups'] = outline_ids(parts['image'], groups)
    if embedding is not None:
        parts['embedding'] = embedding
    alone = {kind: parts[kind]
             for kind in ('prediction', 'embedding') if kind in parts}
    return dict(alone, panel=side_by_side(list(parts.values()), list(parts)))
