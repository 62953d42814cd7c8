"""Maps of truth and prediction of a data sample, as pictures show them."""
from typing import Any, Dict, Optional

import numpy as np
from torch import Tensor

from mmpixsort.datasets.panoptic_maps import INSTANCE_OFFSET, VOID
from mmpixsort.functional.instances.id_masks import paint_masks


def maps_of_sample(sample: Any,
                   num_classes: int) -> Dict[str, Optional[np.ndarray]]:
    """Return the maps (H, W) of `truth` and `prediction` of a sample.

    The maps hold classes, or indices of colours for instances and panoptic
    segments. A negative number is shown in black.

    Args:
        sample: Data sample of MMSegmentation or MMDetection. A map that it
            lacks is None.
        num_classes: Number of classes C. In a predicted panoptic map, class
            C is void.
    """
    if 'pred_panoptic_seg' in sample:
        found = sample.pred_panoptic_seg.sem_seg
        classes = found % INSTANCE_OFFSET
        truth = sample.gt_sem_seg.sem_seg.long().to(found.device)
        things = sample.gt_instance_map.data.long().to(found.device)
        return dict(
            truth=_panoptic_colours(
                truth, things.clamp(min=0), truth == VOID),
            prediction=_panoptic_colours(
                classes, found // INSTANCE_OFFSET, classes == num_classes))
    return dict(
        truth=labels_of_sample(sample, 'gt_sem_seg', 'gt_instance_map'),
        prediction=labels_of_sample(
            sample, 'pred_sem_seg', 'pred_instances'))


def labels_of_sample(sample: Any, field: str,
                     instances: str) -> Optional[np.ndarray]:
    """Return a map (H, W) of classes or else of instances, or None.

    Args:
        sample: Data sample.
        field: Name of the field with the classes.
        instances: Name of the field with the instances, as masks or a map.
    """
    if field in sample:
        ids = getattr(sample, field).data
    elif instances in sample:
        value = getattr(sample, instances)
        if 'masks' in value:  # sorted by score; the first lies on top
            ids = paint_masks(value.masks)[None]
        else:
            ids = value.data
        # colour indices; -1 is black, for pixels without an instance
        ids = ((ids - 1) % 255).masked_fill(ids < 1, -1)
    else:
        return None
    return ids.squeeze(0).cpu().numpy()


def groups_of_sample(sample: Any) -> Optional[np.ndarray]:
    """Return the map (H, W) of groups of a sample, or None."""
    if 'pred_groups' not in sample:
        return None
    return sample.pred_groups.data[0].cpu().numpy()


def _panoptic_colours(classes: Tensor, instances: Tensor,
                      void: Tensor) -> np.ndarray:
    """Return a colour index (H, W) for each class and instance (1, H, W)."""
    colours = (29 * classes + 67 * instances + 1) % 255
    return colours.masked_fill(void, -1)[0].cpu().numpy()
