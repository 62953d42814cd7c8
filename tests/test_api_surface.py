"""The public names, listed by hand.

A name that is listed but gone breaks somebody's code, a name that is there
but not listed was made public without a decision: both fail.
"""
import importlib
import inspect
import pkgutil

import pytest

import mmpixsort
from mmpixsort import registry

# Packages: what `__all__` holds.
PUBLIC = {
    'mmpixsort.apis': {'METHODS', 'Method', 'PixSortInferencer', 'attach',
                       'attach_file', 'download_model', 'get_model',
                       'list_models', 'register_method'},
    'mmpixsort.apis.attach': {
        'Attachment', 'METHODS', 'Method', 'attach', 'attach_file',
        'load_config', 'plan', 'register_method'},
    'mmpixsort.apis.convert': {
        'Conversion', 'Layout', 'apply_layout', 'convert_checkpoint',
        'convert_contrastiveseg', 'convert_spml', 'describe_conversion'},
    'mmpixsort.apis.study': {'Arm', 'Place', 'Study', 'read_study'},
    'mmpixsort.apis.zoo': {'ZooFile', 'ZooModel', 'download_model',
                           'find_model', 'get_model', 'list_models'},
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
    'mmpixsort.layers': {'AtrousProjection', 'ClusterBackend',
                         'ComponentsBackend', 'KMeansSegmenter',
                         'MeanShiftBackend', 'ProjectionHead',
                         'SeparatedComponentsBackend', 'SklearnBackend',
                         'TrainingClock', 'select_feature', 'tap'},
    'mmpixsort.text': {'BackboneDual', 'BackboneFeature', 'ColorFeature',
                       'MaskedRegionEncoder', 'OpenCLIPDual',
                       'RegionGrouper', 'SSLFeature', 'TextBank', 'TinyDual'},
    'mmpixsort.text.encoders': {'BackboneDual', 'MaskedRegionEncoder',
                                'OpenCLIPDual', 'TinyDual'},
    'mmpixsort.text.groupers': {'BackboneFeature', 'ColorFeature',
                                'RegionGrouper', 'SSLFeature'},
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
    'mmpixsort.visualization': {
        'EmbeddingVisualizationHook', 'draw_words', 'embedding_pictures',
        'outline_ids', 'paint_labels', 'side_by_side'},
    'mmpixsort.retrieval': {'PrototypeBank', 'add', 'build_index',
                            'check_bank', 'check_fits', 'cluster',
                            'images_named', 'info', 'merge', 'read_bank',
                            'recall_at_k', 'relabel', 'remove',
                            'write_bank'},
    'mmpixsort.seg': {'MetricCascadeEncoderDecoder', 'MetricEncoderDecoder',
                      'PixelContrastHead', 'RefinedASPPHead', 'SegSortHead',
                      'TextGroupHead', 'TextGroupSegmentor'},
    'mmpixsort.seg.datasets': {
        'CamVidDataset', 'COCOObjectDataset', 'GeneratedShapesCaptions',
        'ImageCaptionDataset', 'StreetScenesDataset', 'ViewsSampler'},
    'mmpixsort.seg.heads': {'PixelContrastHead', 'RefinedASPPHead',
                            'SegSortHead', 'TextGroupHead'},
    'mmpixsort.seg.metrics': {'PerClassIoUMetric'},
    'mmpixsort.seg.segmentors': {
        'MetricCascadeEncoderDecoder', 'MetricEncoderDecoder',
        'TextGroupSegmentor'},
    'mmpixsort.seg.transforms': {
        'LoadCaptionedShapes', 'LoadGroups', 'LoadOverSegmentation',
        'LoadStreetScene', 'MakeOverSegmentation', 'PackSegmentInputs',
        'PackTextInputs', 'SampleNouns'},
    'mmpixsort.det': {'EmbeddingInstanceSegmentor', 'InstanceEmbeddingHead',
                      'PanopticDiscriminativeHead', 'PanopticSegSort',
                      'PanopticSegSortHead'},
    'mmpixsort.det.datasets': {
        'COCOPanopticDataset', 'CVPPPDataset', 'CWFIDPanopticDataset',
        'CityscapesPanopticDataset', 'DSB2018Dataset', 'PanopticDataset',
        'ScatteredSticksDataset', 'StreetScenesPanopticDataset',
        'VOCPanopticDataset'},
    'mmpixsort.det.detectors': {'EmbeddingInstanceSegmentor',
                                'PanopticSegSort'},
    'mmpixsort.det.heads': {'InstanceEmbeddingHead',
                            'PanopticDiscriminativeHead',
                            'PanopticSegSortHead'},
    'mmpixsort.det.transforms': {'IdMapMasks', 'LoadInstanceMap',
                                 'LoadPanopticMap', 'PackInstanceInputs',
                                 'PaintInstanceMap'},
    'mmpixsort.utils': {'prepare_cpu_run', 'publish_checkpoint',
                        'register_all_modules'},
}
# Modules and rooms without `__all__`: what they define, in all their files. A
# new loss is written with `functional`; see CONTRIBUTING. Commands of tools/
# call the modules of `apis`.
DEFINED = {
    'mmpixsort.structures': {'ImageEmbeddings', 'KeyBlock',
                             'LabeledEmbeddings'},
    'mmpixsort.functional.checks': {
        'check_choice', 'check_count', 'check_fraction', 'check_labels',
        'check_mask', 'check_non_negative', 'check_points', 'check_positive',
        'check_rows'},
    'mmpixsort.functional.contrast': {
        'Block', 'Pairs', 'QueueRows', 'Settings',
        'anchor_ranges', 'as_blocks', 'contrast_rows',
        'contrast_sum', 'count_labels', 'draw_noise', 'flatten_blocks',
        'gather_pixels', 'hard_pixels', 'hardest_pairs', 'join_ranges',
        'one_class_logit', 'pair_masks', 'pixel_contrast',
        'pixel_contrast_sum', 'pixels_and_regions',
        'random_hard_pairs', 'random_pairs',
        'region_means', 'resize_labels', 'ring_slots', 'sample_anchors',
        'sample_classes', 'sort_pixels', 'tiles',
        'two_class_logits', 'undo_flip', 'zero_ignored'},
    'mmpixsort.functional.instances': {
        'ClassVotes', 'Clusters', 'DiscriminativeTerms', 'Groups', 'Hinges',
        'Modes', 'SearchRules', 'SlotSums', 'Slots', 'Work', 'are_distinct',
        'assign_nearest', 'boxes_of_ids', 'context_consistency',
        'context_histograms', 'count_unowned', 'discriminative_loss',
        'discriminative_terms', 'empty_map', 'group_instances',
        'grow_masks', 'instance_hinges', 'instance_slots', 'is_within',
        'join_modes', 'keep_large', 'masks_of_ids', 'nearest_center',
        'overlap_hinges', 'paint_masks', 'pick_seeds', 'search_centers',
        'seed_mean_shift', 'shift_seeds', 'sums_within', 'vmf_mean_shift',
        'vmf_shift', 'vote_classes'},
    'mmpixsort.functional.pca': {'pca_rgb'},
    'mmpixsort.functional.precision': {'autocast_off'},
    'mmpixsort.functional.random': {'keyed_generator'},
    'mmpixsort.functional.reduction': {'masked_mean'},
    'mmpixsort.functional.scores': {
        'BestDice', 'BoundaryCounts', 'BoundaryScores', 'ClassQuality',
        'InstanceOverlaps', 'PanopticCounts', 'RetrievalAccuracy',
        'best_dice', 'boundary_counts', 'boundary_mask', 'boundary_scores',
        'check_classes', 'class_quality', 'count_difference',
        'instance_overlaps', 'majority_classes', 'mask_overlaps',
        'oracle_labels', 'overlap_counts', 'panoptic_counts',
        'panoptic_quality', 'precision_at_iou', 'retrieval_accuracy',
        'segment_purity', 'symmetric_best_dice'},
    'mmpixsort.functional.segments': {
        'Boxes', 'Grids', 'PixelLoss', 'Segments', 'Table', 'Tile',
        'WeightedSum', 'check_cosine', 'check_grid', 'check_map',
        'find_segments', 'grid_labels', 'join_codes', 'linkage_threshold',
        'locate', 'merge_segments', 'nearest_keys', 'pair_statistics',
        'partition_regions', 'pixel_locations', 'prototypes', 'region_boxes',
        'region_grids', 'row_similarity',
        'segment_neighbors', 'segment_sorting', 'segment_sorting_sum',
        'segment_sums', 'spherical_kmeans', 'vote_fractions'},
    'mmpixsort.functional.windows': {'image_windows', 'windows'},
    'mmpixsort.functional.words': {
        'NounRegionTerms', 'PooledRegions', 'absorb_slivers', 'check_bias',
        'check_ids', 'check_scale', 'compact_ids', 'confinement_bias',
        'connected_parts', 'full_precision', 'image_sentence_contrast',
        'merge_similar', 'name_regions', 'neighbor_pairs',
        'noun_region_contrast', 'noun_region_terms', 'outside_bias',
        'paint_regions', 'pool_regions', 'region_attention', 'region_bias',
        'region_members', 'resize_ids', 'spectral_embedding'},
    'mmpixsort.apis.analysis': {
        'AnchorSource', 'Anchors', 'BankRows', 'Batch', 'Cost', 'HeadCost',
        'Projection', 'Speed', 'annotation_views', 'browse_dataset',
        'build_head', 'build_segmentor', 'count_flops', 'describe_cost',
        'describe_speed', 'draw_anchors', 'draw_places', 'even_rows',
        'instance_map', 'label_map', 'measure_speed', 'noun_lines',
        'project_bank', 'random_batch', 'read_rows', 'read_segmentor',
        'region_map', 'without_metric_heads', 'write_below', 'write_board'},
    'mmpixsort.apis.bank': {'build_bank', 'file_hash'},
    'mmpixsort.apis.context_report': {
        'ContextReport', 'report_context', 'score_context_of_run'},
    'mmpixsort.apis.convert_clip': {'convert_clip', 'describe_clip'},
    'mmpixsort.apis.exemplars': {
        'add_exemplars', 'image_data', 'load_image', 'read_mask'},
    'mmpixsort.apis.explain': {
        'Explainer', 'Explanation', 'explain', 'read_vote', 'sheet_rows'},
    'mmpixsort.apis.extract_nouns': {'extract_nouns'},
    'mmpixsort.apis.fit_head': {
        'check_built', 'check_names', 'check_ran', 'describe_levels',
        'feature_at', 'feature_source', 'fit_head', 'kept_norm'},
    'mmpixsort.apis.instance_bank': {
        'ImageInstances', 'InstanceRules', 'annotated_scene',
        'build_instance_bank', 'context_classes', 'describe_image',
        'detector_fingerprint', 'predicted_scene'},
    'mmpixsort.apis.instance_query': {
        'Picture', 'Pictures', 'nearest_rows', 'retrieve_instances'},
    'mmpixsort.apis.loading': {
        'TextModel', 'build_model', 'load_all', 'load_detector',
        'load_encoder', 'load_model', 'load_text_segmentor', 'load_weights',
        'named_parts', 'ready', 'training_state'},
    'mmpixsort.apis.precompute_groups': {
        'GroupRun', 'find_grouper', 'group_settings', 'image_indices',
        'image_steps', 'precompute_groups'},
    'mmpixsort.apis.serve_bank': {'BankEditor', 'BankServer'},
    'mmpixsort.apis.sources': {'Sources', 'picture_of'},
    'mmpixsort.apis.text_bank': {
        'build_text_bank', 'import_matrix', 'read_vocabulary'},
    'mmpixsort.apis.inferencer': {
        'PixSortInferencer', 'list_images', 'names_of',
        'read_picture'},
    'mmpixsort.apis.predictions': {
        'class_shares', 'prediction_of_sample', 'save_prediction',
        'shown_labels'},
    'mmpixsort.apis.tune_background': {
        'Curve', 'mean_iou', 'score_with_tuned_background',
        'tune_background'},
}
# Registry -> what `type='mmpixsort.X'` builds.
REGISTERED = {
    'MODELS': {
        'AtrousProjection', 'BackboneDual', 'BackboneFeature', 'ClassQueue',
        'ColorFeature', 'ComponentsBackend', 'DiscriminativeLoss',
        'EmbeddingInstanceSegmentor', 'HardAnchorSampler',
        'ImageSentenceLoss', 'InstanceEmbeddingHead', 'KMeansSegmenter',
        'KeyMiner', 'MaskedRegionEncoder', 'MeanShiftBackend',
        'MetricCascadeEncoderDecoder', 'MetricEncoderDecoder',
        'NounRegionLoss', 'OpenCLIPDual', 'PanopticDiscriminativeHead',
        'PanopticSegSort', 'PanopticSegSortHead', 'PanopticSegSortLoss',
        'PixelContrastHead', 'PixelContrastLoss', 'ProjectionHead',
        'PrototypeQueue', 'RefinedASPPHead', 'RegionGrouper', 'SSLFeature',
        'SegSortHead', 'SegSortLoss', 'SeparatedComponentsBackend',
        'SklearnBackend', 'TextBank', 'TextGroupHead', 'TextGroupSegmentor',
        'TinyDual'},
    'HOOKS': {
        'ChannelsLastHook', 'EmbeddingVisualizationHook',
        'LinkageThresholdHook', 'MemoryBankHook', 'PrototypeBankHook'},
    'METRICS': {
        'BoundaryFMetric', 'ClusterMatchingMetric', 'GroupOracleMetric',
        'InstanceMapMetric', 'PanopticQualityMetric', 'PerClassIoUMetric',
        'RegionNounAccuracy', 'SegmentMetric'},
    'DATASETS': {
        'COCOObjectDataset', 'COCOPanopticDataset', 'CVPPPDataset',
        'CWFIDPanopticDataset', 'CamVidDataset',
        'CityscapesPanopticDataset', 'DSB2018Dataset',
        'GeneratedShapesCaptions', 'ImageCaptionDataset', 'PanopticDataset',
        'ScatteredSticksDataset', 'StreetScenesDataset',
        'StreetScenesPanopticDataset', 'VOCPanopticDataset'},
    'DATA_SAMPLERS': {'ViewsSampler'},
    'TRANSFORMS': {
        'LoadCaptionedShapes', 'LoadGroups', 'LoadInstanceMap',
        'LoadOverSegmentation', 'LoadPanopticMap', 'LoadStreetScene',
        'MakeOverSegmentation',
        'PackInstanceInputs', 'PackSegmentInputs', 'PackTextInputs',
        'PaintInstanceMap', 'SampleNouns'},
    'VISUALIZERS': set(),
}


def modules_of(package):
    """Yield the names of a package and of all below it, but not `.mim`."""
    yield package.__name__
    for part in pkgutil.walk_packages(
            package.__path__, f'{package.__name__}.'):
        yield part.name


def is_public(name, value):
    """Whether a name of a module is for others, and no module itself."""
    return not name.startswith('_') and not inspect.ismodule(value)


def defined_in(room):
    """Return the functions and classes that the files of a room define."""
    module = importlib.import_module(room)
    names = set()
    parts = modules_of(module) if hasattr(module, '__path__') else [room]
    for part in parts:
        names |= {
            name for name, value in vars(importlib.import_module(part)).items()
            if is_public(name, value)
            and getattr(value, '__module__', None) == part}
    return names


@pytest.mark.parametrize('room', PUBLIC)
def test_public_names__are_those_listed(room):
    module = importlib.import_module(room)
    assert set(module.__all__) == PUBLIC[room]
    assert len(module.__all__) == len(PUBLIC[room])  # none twice
    for name in PUBLIC[room]:
        assert getattr(module, name).__doc__


@pytest.mark.parametrize('room', PUBLIC)
def test_public_names__nothing_is_imported_beside_them(room):
    module = importlib.import_module(room)
    beside = {name for name, value in vars(module).items()
              if is_public(name, value)} - PUBLIC[room]
    assert not beside, f'{room}: neither in `__all__` nor a module'


@pytest.mark.parametrize('room', DEFINED)
def test_defined_names__are_those_listed(room):
    assert defined_in(room) == DEFINED[room]


def test_rooms__all_are_listed():
    """A new package, or file of `functional` and `apis`, needs a line here."""
    named = {room for room in modules_of(mmpixsort)
             if hasattr(importlib.import_module(room), '__all__')
             and hasattr(importlib.import_module(room), '__path__')}
    assert named == set(PUBLIC)
    for room in ('mmpixsort.functional', 'mmpixsort.apis'):
        parts = {f'{room}.{part.name}' for part in pkgutil.iter_modules(
            importlib.import_module(room).__path__)}
        assert parts - set(PUBLIC) == {
            name for name in DEFINED if name.startswith(f'{room}.')}


@pytest.mark.parametrize('name', REGISTERED)
def test_registered_names__are_those_listed(name):
    pytest.importorskip('mmseg')
    pytest.importorskip('mmdet')
    for room in ('mmpixsort.seg', 'mmpixsort.det', *registry.LOCATIONS):
        importlib.import_module(room)
    own = {
        key for key, kind in getattr(registry, name).module_dict.items()
        if kind.__module__.startswith('mmpixsort.')}
    assert own == REGISTERED[name]
