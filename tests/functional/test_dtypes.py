"""Labels of every integer type mean what those of int64 mean."""
import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.banks import ClassQueue, PrototypeQueue
from mmpixsort.functional.scores import (boundary, instances as
                                         instance_scores, panoptic_quality,
                                         segments as segment_scores)
from mmpixsort.functional.segments import (clustering, partition, prototypes,
                                           nearest as retrieval, graph as
                                           segment_graph, sorting as segsort)
from mmpixsort.functional.instances import context, discriminative
from mmpixsort.functional.contrast import (pixel_contrast as contrast, labels,
                                           queues, sampling)
from mmpixsort.functional.words import (image_sentence, noun_region,
                                        region_attention, region_cleanup,
                                        region_naming, regions, spectral)
from mmpixsort.functional.contrast.keys import KeyBlock

DTYPES = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16,
          torch.uint32, torch.uint64]
G = torch.Generator().manual_seed(0)
MAPS = normalize(torch.randn(2, 4, 6, 8, generator=G), dim=1)
ROWS = normalize(torch.randn(12, 4, generator=G), dim=1)
IDS = torch.randint(5, (2, 6, 8), generator=G)
OTHER = torch.randint(3, (2, 6, 8), generator=G)
CODES = torch.randint(5, (12, ), generator=G)
SEEN = torch.ones(12).bool()


def queue_state(bank, **rows):
    bank.enqueue(**rows)
    return list(bank.state_dict().values())


# function -> call with a cast of what is integer
CALLS = dict(
    resize_ids=lambda c: regions.resize_ids(c(IDS), (4, 5), 5),
    resize_ids_up=lambda c: regions.resize_ids(c(IDS), (9, 11), 5),
    pool_regions=lambda c: regions.pool_regions(MAPS, c(IDS), 5),
    compact_ids=lambda c: region_cleanup.compact_ids(c(IDS), 5),
    merge_similar=lambda c: region_cleanup.merge_similar(
        MAPS, c(IDS), 5, threshold=.2),
    absorb_slivers=lambda c: region_cleanup.absorb_slivers(
        MAPS, c(IDS), 5, min_area=3),
    connected_parts=lambda c: region_cleanup.connected_parts(c(IDS)),
    region_members=lambda c: region_attention.region_members(
        c(IDS.flatten(1)), 5),
    confinement_bias=lambda c: region_attention.confinement_bias(
        c(IDS.flatten(1))),
    paint_regions=lambda c: region_naming.paint_regions(
        torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(1)),
        c(IDS)),
    segment_neighbors=lambda c: segment_graph.segment_neighbors(c(IDS[0]), 5),
    merge_segments=lambda c: segment_graph.merge_segments(
        ROWS, c(torch.arange(1, 13)), torch.ones(12, 12).bool(),
        threshold=.1, classes=c(CODES)),
    pair_statistics=lambda c: segment_graph.pair_statistics(
        ROWS, c(CODES), c(torch.arange(1, 13)), classes=c(CODES % 2)),
    overlap_counts=lambda c: segment_scores.overlap_counts(
        c(IDS), c(OTHER), num_rows=5, num_classes=3),
    majority_classes=lambda c: segment_scores.majority_classes(
        c(IDS), c(OTHER), num_segments=5, num_classes=3),
    segment_purity=lambda c: segment_scores.segment_purity(
        c(IDS), c(OTHER), num_classes=3),
    oracle_labels=lambda c: segment_scores.oracle_labels(
        c(IDS), c(OTHER), num_classes=3),
    retrieval_accuracy=lambda c: segment_scores.retrieval_accuracy(
        c(OTHER[0]), c(OTHER[0, :, 0])),
    panoptic_counts=lambda c: panoptic_quality.panoptic_counts(
        c(OTHER[0]), c(OTHER[1]), c(IDS[1] + 1), num_classes=3,
        num_things=2),
    instance_overlaps=lambda c: instance_scores.instance_overlaps(
        c(IDS[0]), c(OTHER[0])),
    partition_regions=lambda c: partition.partition_regions(
        MAPS, c(IDS), num_regions=5, cell_area=4., max_clusters=3,
        num_iters=2),
    boundary_mask=lambda c: boundary.boundary_mask(c(IDS)),
    boundary_counts=lambda c: boundary.boundary_counts(
        c(OTHER[0]), c(OTHER[1]), tolerance=1, num_classes=3),
    spherical_kmeans=lambda c: clustering.spherical_kmeans(
        MAPS, num_iters=2, initial_labels=c(IDS), num_clusters=5,
        frame='none'),
    find_segments=lambda c: prototypes.find_segments(c(CODES), 4),
    join_codes=lambda c: prototypes.join_codes(c(CODES), c(CODES % 2)),
    segment_sums=lambda c: prototypes.segment_sums(ROWS, c(CODES), 5),
    prototypes=lambda c: prototypes.prototypes(ROWS, c(CODES), 5),
    context_histograms=lambda c: context.context_histograms(
        IDS[0] == torch.arange(5)[:, None, None], c(OTHER[0]), 3, rho=1.),
    resize_labels=lambda c: labels.resize_labels(c(IDS), (3, 4), 255),
    hard_pixels=lambda c: labels.hard_pixels(
        MAPS, c(OTHER), hardness='confidence'),
    sample_anchors=lambda c: sampling.sample_anchors(
        c(OTHER), OTHER > 0, num_classes=3, max_samples=8, max_views=2,
        generator=torch.Generator().manual_seed(2)),
    pixels_and_regions=lambda c: queues.pixels_and_regions(
        MAPS, c(OTHER), num_classes=3, num_pixels=2,
        generator=torch.Generator().manual_seed(2)),
    vote_fractions=lambda c: retrieval.vote_fractions(
        c(OTHER[0]), num_classes=3),
    pixel_contrast=lambda c: contrast.pixel_contrast(
        ROWS, c(CODES), ROWS, c(CODES), temperature=.5,
        own_key=c(torch.arange(12))),
    pixel_contrast_blocks=lambda c: contrast.pixel_contrast(
        ROWS, c(CODES), [KeyBlock(ROWS, c(CODES)),
                         KeyBlock(ROWS.flip(0), c(CODES))], temperature=.5),
    segment_sorting=lambda c: segsort.segment_sorting(
        ROWS, c(CODES), ROWS, c(CODES), own_key=c(torch.arange(12)),
        concentration=4., anchor_groups=c(CODES % 2),
        key_groups=c(CODES % 2)),
    discriminative_loss=lambda c: discriminative.discriminative_loss(
        MAPS, c(IDS), class_ids=c(IDS % 2), push_scope='class'),
    discriminative_num_ids=lambda c: discriminative.discriminative_loss(
        MAPS, c(IDS), num_ids=5),
    noun_region_contrast=lambda c: noun_region.noun_region_contrast(
        ROWS[:4], c(torch.tensor([0, 1, 1, 2])), ROWS.view(3, 4, 4),
        SEEN.view(3, 4), scale=2., noun_ids=c(CODES[:4]),
        caption_ids=c(CODES.view(3, 4))),
    image_sentence_contrast=lambda c: image_sentence.image_sentence_contrast(
        ROWS[:3], ROWS[3:6], scale=2., all_images=ROWS, all_sentences=ROWS,
        own=c(torch.arange(3)), all_valid=SEEN),
    prototype_queue=lambda c: queue_state(
        PrototypeQueue(embed_dims=4, capacity=20), embeddings=ROWS,
        labels=c(CODES)),
    class_queue=lambda c: queue_state(
        ClassQueue(num_classes=5, embed_dims=4, capacity=3), embeddings=ROWS,
        labels=c(CODES)),
)


def flat(result):
    """Return the tensors of a result, of names or in a row."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, (tuple, list)):
        return [part for item in result for part in flat(item)]
    return []


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('name', CALLS)
def test_integers_of_any_type(name, dtype):
    want = flat(CALLS[name](lambda values: values))
    found = flat(CALLS[name](lambda values: values.to(dtype)))
    assert want and len(want) == len(found)
    for a, b in zip(want, found):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, equal_nan=True)


@pytest.mark.parametrize('name, call', [
    ('valid', lambda mask: clustering.spherical_kmeans(
        MAPS, num_iters=1, grid=(2, 2), valid=mask(IDS))),
    ('valid', lambda mask: spectral.spectral_embedding(
        MAPS, num_vectors=2, valid=mask(IDS))),
    ('all_valid', lambda mask: image_sentence.image_sentence_contrast(
        ROWS[:3], ROWS[3:6], scale=2., all_images=ROWS, all_sentences=ROWS,
        own=torch.arange(3), all_valid=mask(SEEN))),
    ('region_valid', lambda mask: noun_region.noun_region_contrast(
        ROWS[:1], CODES[:1] % 3, ROWS.view(3, 4, 4), mask(SEEN.view(3, 4)),
        scale=2.)),
])
def test_masks_are_bool(name, call):
    call(lambda values: values > 0)
    for dtype in (torch.uint8, torch.int64):
        with pytest.raises(TypeError, match=f'`{name}` must be bool.*bool()'):
            call(lambda values: (values > 0).to(dtype))


def test_discriminative_loss__classes_of_floats():
    with pytest.raises(TypeError, match='`class_ids` must be integers'):
        discriminative.discriminative_loss(
            MAPS, IDS, class_ids=IDS.float(), push_scope='class')
