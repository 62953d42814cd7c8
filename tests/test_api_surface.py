"""The public names, listed by hand."""
import importlib

import pytest

PUBLIC = {
    'mmpixsort.apis': {'METHODS', 'Method', 'attach', 'attach_file',
                       'register_method'},
    'mmpixsort.functional': {'discriminative_loss',
                             'image_sentence_contrast', 'masked_mean',
                             'nearest_keys', 'noun_region_contrast',
                             'pca_rgb',
                             'pixel_contrast', 'seed_mean_shift',
                             'segment_sorting', 'spherical_kmeans',
                             'vote_fractions'},
    'mmpixsort.losses': {'DiscriminativeLoss', 'ImageSentenceLoss',
                         'NounRegionLoss', 'PanopticSegSortLoss',
                         'PixelContrastLoss', 'SegSortLoss'},
    'mmpixsort.banks': {'ClassQueue', 'PrototypeQueue'},
    'mmpixsort.samplers': {'HardAnchorSampler', 'KeyMiner'},
    'mmpixsort.layers': {'BackboneDual', 'BackboneFeature', 'ClusterBackend',
                         'ColorFeature', 'ComponentsBackend',
                         'KMeansSegmenter', 'MaskedRegionEncoder',
                         'MeanShiftBackend', 'OpenCLIPDual',
                         'ProjectionHead', 'RegionGrouper', 'RegionPool',
                         'SSLFeature', 'SeparatedComponentsBackend',
                         'SklearnBackend', 'TextBank', 'TinyDual',
                         'TrainingClock',
                         'select_feature', 'tap', 'warmup_weight'},
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
