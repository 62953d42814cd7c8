"""The public names, listed by hand."""
import importlib

import pytest

PUBLIC = {
    'mmpixsort.apis': {'METHODS', 'Method', 'attach', 'attach_file',
                       'register_method'},
    'mmpixsort.functional': {
        'absorb_slivers', 'boundary_counts', 'boundary_scores',
        'connected_parts', 'context_consistency', 'context_histograms',
        'discriminative_loss', 'find_segments', 'gather_pixels',
        'grid_labels', 'hard_pixels', 'image_sentence_contrast',
        'instance_overlaps', 'linkage_threshold', 'masked_mean',
        'merge_segments', 'merge_similar', 'name_regions', 'nearest_keys',
        'noun_region_contrast', 'overlap_counts', 'paint_regions',
        'pair_statistics', 'panoptic_counts', 'panoptic_quality',
        'partition_regions', 'pca_rgb', 'pixel_contrast', 'pixel_locations',
        'pixels_and_regions', 'pool_regions', 'prototypes', 'resize_ids',
        'resize_labels', 'retrieval_accuracy', 'ring_slots', 'row_similarity',
        'sample_anchors', 'seed_mean_shift', 'segment_neighbors',
        'segment_purity', 'segment_sorting', 'spectral_embedding',
        'spherical_kmeans', 'symmetric_best_dice', 'vmf_mean_shift',
        'vote_fractions'},
    'mmpixsort.losses': {'DiscriminativeLoss', 'ImageSentenceLoss',
                         'NounRegionLoss', 'PanopticSegSortLoss',
                         'PixelContrastLoss', 'SegSortLoss'},
    'mmpixsort.banks': {'ClassQueue', 'PrototypeQueue'},
    'mmpixsort.samplers': {'HardAnchorSampler', 'KeyMiner'},
    'mmpixsort.layers': {'ClusterBackend', 'ComponentsBackend',
                         'KMeansSegmenter', 'MeanShiftBackend',
                         'ProjectionHead', 'SeparatedComponentsBackend',
                         'SklearnBackend', 'TrainingClock', 'select_feature',
                         'tap'},
    'mmpixsort.text': {'BackboneDual', 'BackboneFeature', 'ColorFeature',
                       'MaskedRegionEncoder', 'OpenCLIPDual',
                       'RegionGrouper', 'SSLFeature', 'TextBank', 'TinyDual'},
    'mmpixsort.datasets': {'id_to_rgb', 'instances_of_map', 'join_maps',
                           'read_instance_map', 'read_panoptic_map',
                           'rgb_to_id'},
    'mmpixsort.datasets.synthetic': {
        'CLASSES', 'IGNORE', 'PALETTE', 'ScatteredSticks', 'Scene',
        'StickScene', 'StreetScenes', 'THING_CLASSES'},
    'mmpixsort.metrics': {'BoundaryFMetric', 'ClusterMatchingMetric',
                          'ContextScores', 'GroupOracleMetric',
                          'InstanceBank', 'InstanceMapMetric',
                          'PanopticQualityMetric', 'RegionNounAccuracy',
                          'SegmentMetric', 'score_context'},
    'mmpixsort.hooks': {'ChannelsLastHook', 'LinkageThresholdHook',
                        'MemoryBankHook', 'PrototypeBankHook'},
    'mmpixsort.retrieval': {'PrototypeBank', 'add', 'build_index',
                            'check_bank', 'check_fits', 'cluster',
                            'images_named', 'info', 'merge', 'read_bank',
                            'recall_at_k', 'relabel', 'remove',
                            'write_bank'},
    'mmpixsort.seg': {'MetricCascadeEncoderDecoder', 'MetricEncoderDecoder',
                      'PixelContrastHead', 'SegSortHead', 'TextGroupHead',
                      'TextGroupSegmentor'},
    'mmpixsort.det': {'EmbeddingInstanceSegmentor', 'InstanceEmbeddingHead',
                      'PanopticDiscriminativeHead', 'PanopticSegSort',
                      'PanopticSegSortHead'},
}


@pytest.mark.parametrize('room', PUBLIC)
def test_public_names__are_those_listed(room):
    module = importlib.import_module(room)
    assert set(module.__all__) == PUBLIC[room]
    for name in PUBLIC[room]:
        assert getattr(module, name).__doc__
