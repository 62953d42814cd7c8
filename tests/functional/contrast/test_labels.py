"""Labels on the embedding grid, and which pixels are hard."""
import pytest
import torch

from mmpixsort.functional.contrast.labels import (hard_pixels, resize_labels,
                                                  two_class_logits, undo_flip)


def test_resize_labels__integer_ratio_takes_the_top_left_pixel():
    labels = torch.randint(0, 19, (2, 12, 16))
    labels[0, :5] = 255
    got = resize_labels(labels, (3, 4), 255)
    want = labels[:, ::4, ::4]
    assert torch.equal(got, want.masked_fill(want == 255, -1))


def test_two_class_logits__argmax_is_the_thresholded_logit():
    logits = torch.randn(2, 1, 5, 6)
    for threshold in (0.3, 0.5, 0.9):
        want = (logits[:, 0].sigmoid() > threshold).long()
        assert torch.equal(two_class_logits(logits, threshold).argmax(1),
                           want)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_undo_flip__of_the_hosts(direction):
    maps = torch.arange(24).view(2, 3, 4)
    for own in (maps, maps[0]):
        flipped = maps.flip(
            dict(horizontal=(2, ), vertical=(1, ), diagonal=(1, 2))[direction])
        flipped = flipped if own.dim() == 3 else flipped[0]
        assert torch.equal(undo_flip(flipped, direction), own)
    with pytest.raises(ValueError, match="flip_direction.*got None"):
        undo_flip(maps, None)


def test_hard_pixels__modes():
    logits = torch.tensor([[[[3., 0.]], [[0., 3.]], [[0., 0.]]]])
    labels = torch.tensor([[[0, 2]]])
    assert hard_pixels(logits, labels).tolist() == [[[False, True]]]
    assert not hard_pixels(logits, labels, hardness='random').any()
    # softmax(3, 0, 0)[0] = 0.909
    for confidence, want in ((0.9, False), (0.92, True)):
        got = hard_pixels(
            logits, labels, hardness='confidence', confidence=confidence)
        assert got[0, 0].tolist() == [want, True]


def test_hard_pixels__unknown_mode():
    with pytest.raises(ValueError, match='`hardness` must be one of'):
        hard_pixels(torch.rand(1, 2, 1, 1), torch.zeros(1, 1, 1),
                    hardness='soft')
