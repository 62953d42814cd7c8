"""Cluster, cut by labels, average, sort, vote: the released code's numbers.

Fixtures G1, G2, G5 and the part of G3 of annotated pixels.
"""
import pytest
import torch
from references import sine_rows
from torch.nn.functional import normalize

from mmpixsort.functional import nearest_keys, vote_fractions
from mmpixsort.functional.segments.clustering import locate, spherical_kmeans
from mmpixsort.functional.segments.prototypes import (CODE_BASE, find_segments,
                                                      join_codes, prototypes)
from mmpixsort.functional.segments.sorting import segment_sorting

NUM_CLASSES, PANOPTIC_DIVISOR = 21, 2048


@pytest.fixture(scope='module')
def images():
    """Two images 20 x 24: their annotated or tagged pixels, and segments."""
    maps = sine_rows(960, 8, .011, .7).view(2, 20, 24, 8).permute(0, 3, 1, 2)
    y, x = torch.meshgrid(
        torch.arange(20), torch.arange(24), indexing='ij')
    semantic = torch.stack([x // 8 % 3, y // 7 % 3])
    semantic[0, :3, :4] = 255  # ignored
    semantic[1, 10:14, 10:14] = NUM_CLASSES  # clustered, but not annotated
    regions = torch.stack([y // 5 * 5 + x // 6, y // 4 * 4 + x // 9])
    valid = semantic != 255
    clusters = spherical_kmeans(
        maps, grid=(3, 3), num_iters=10, valid=valid)
    image = torch.arange(2)[:, None, None].expand_as(clusters)
    panoptic = semantic * PANOPTIC_DIVISOR + regions
    codes = join_codes(image[valid], clusters[valid], panoptic[valid])
    rows, located = (
        points.permute(0, 2, 3, 1)[valid]
        for points in (normalize(maps, dim=1), locate(maps)))
    return rows, located, semantic[valid], find_segments(codes, 119)


def test_segments__fixture_g1(images):
    rows, located, _, found = images
    assert len(rows) == 948 and located.shape[1] == 10
    assert found.num_found == 119
    assert found.segment_ids.sum() == 61922


def test_prototypes__fixture_g2(images):
    rows, located, _, found = images
    for points, want in ((rows, -.246236), (located, 2.984309)):
        total = prototypes(points, found.segment_ids, 119).sum().item()
        assert total == pytest.approx(want, abs=2e-5)
    assert _segment_classes(found).bincount()[
        [0, 1, 2, NUM_CLASSES]].tolist() == [37, 42, 36, 4]


def _segment_classes(found):
    return found.codes % CODE_BASE // PANOPTIC_DIVISOR


def test_segment_sorting__fixture_g3_annotated(images):
    rows, _, semantic, found = images
    classes = _segment_classes(found)
    nll, valid = segment_sorting(
        rows, semantic.masked_fill(semantic == NUM_CLASSES, -1),
        prototypes(rows, found.segment_ids, 119),
        classes.masked_fill(classes == NUM_CLASSES, -1),
        own_key=found.segment_ids, concentration=6.)
    assert valid.sum() == 932
    assert nll[valid].mean().item() == pytest.approx(1.105366, rel=2e-6)


def test_votes__fixture_g5(images):
    rows, _, _, found = images
    bank = normalize(sine_rows(200, 8, .05, .3), dim=1)
    labels = torch.arange(200) % 5
    _, index = nearest_keys(
        prototypes(rows, found.segment_ids, 119), bank, num_neighbors=20)
    votes = vote_fractions(labels[index], num_classes=5)
    predicted = votes.argmax(1)[found.segment_ids]
    assert predicted.bincount().tolist() == [644, 46, 124, 53, 81]
