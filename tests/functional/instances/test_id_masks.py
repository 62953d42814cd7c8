"""Maps of ids against the masks that they stand for, one by one."""
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmpixsort.functional.instances.id_masks import (boxes_of_ids,
                                                     masks_of_ids, paint_masks,
                                                     vote_classes)


class Largest(TorchDispatchMode):
    """Note the bytes of the largest tensor that a call makes."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for part in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(part, torch.Tensor):
                self.bytes = max(
                    self.bytes, part.untyped_storage().nbytes())
        return made


def scene(seed, count=9, num_classes=4, size=(13, 17)):
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(count + 1, size, generator=g)
    ids[ids == 3] = 0  # an id without a pixel
    probabilities = torch.rand(num_classes, *size, generator=g).softmax(0)
    return ids, probabilities


@pytest.mark.parametrize('seed', range(3))
def test_vote_classes__against_a_loop(seed):
    ids, probabilities = scene(seed)
    votes = vote_classes(ids, probabilities, 9)
    for k in range(1, 10):
        inside = probabilities[:, ids == k].double()
        counts = inside.argmax(0).bincount(minlength=4)
        label = int(counts.argmax())
        assert votes.labels[k - 1] == label
        want = inside[label].mean() if inside.shape[1] else 0.
        assert votes.scores[k - 1] == pytest.approx(float(want), abs=1e-6)


@pytest.mark.parametrize('seed', range(3))
def test_boxes_and_masks__against_a_loop(seed):
    ids, _ = scene(seed)
    masks = masks_of_ids(ids, torch.arange(1, 10))
    for k, (mask, box) in enumerate(zip(masks, boxes_of_ids(ids, 9)), 1):
        assert torch.equal(mask, ids == k)
        if not mask.any():
            assert box.tolist() == [0, 0, 0, 0]
            continue
        y, x = mask.nonzero().T
        assert box.tolist() == [
            x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_id_masks__of_nothing():
    ids = torch.zeros(3, 4, dtype=torch.long)
    assert boxes_of_ids(ids, 0).shape == (0, 4)
    assert masks_of_ids(ids, ids.new_zeros(0)).shape == (0, 3, 4)
    votes = vote_classes(ids, torch.rand(2, 3, 4), 0)
    assert votes.labels.shape == votes.scores.shape == (0, )


def test_paint_masks__undoes_masks_of_ids():
    ids, _ = scene(0)
    masks = masks_of_ids(ids, torch.arange(1, 10))
    assert torch.equal(paint_masks(masks), ids)
    assert torch.equal(paint_masks(masks, torch.rand(9)), ids)
    stacked = torch.ones(2, 1, 3).bool()
    assert paint_masks(stacked).unique().tolist() == [1]


def test_instances_of_image__one_stack_of_masks():
    pytest.importorskip('mmdet')
    from mmpixsort.det.heads.instance_results import instances_of_image
    count, size = 256, (64, 64)
    ids = torch.arange(size[0] * size[1]).view(size) // 16 + 1
    with Largest() as largest:
        found = instances_of_image(
            torch.zeros(2, *size), torch.rand(3, *size).softmax(0),
            lambda embeddings, region: ids * region, class_split='vote',
            foreground=torch.ones(size).bool())
    assert found.masks.shape == (count, *size)
    assert largest.bytes == count * size[0] * size[1]  # bool, no numbers
    assert found.masks.any(0).all() and (found.scores.diff() <= 0).all()
    for mask, box in zip(found.masks, found.bboxes):
        y, x = mask.nonzero().T
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
