# Generated shapes with captions: contrast of nouns with regions, against
# contrast of sentences with whole images. Three pairs of nouns never occur
# together in training; the test `pairs` has only scenes with such a pair.
# The threshold of the background is chosen on the validation scenes.
# `make demo-text` runs one seed: about 45 minutes an arm on one CPU core.
title = 'Words of regions, learned from captions of generated shapes'
base = '../text_grouping/textgroup_tiny-rgbxy-km16_1xb32-3k_shapes-64x64.py'
options = {
    f'{_split}_dataloader.dataset.held_out_pairs':
    [['disk', 'ring'], ['square', 'bar'], ['triangle', 'cross']]
    for _split in ('train', 'val', 'test')
}
_scoring = dict(
    scorer='mmpixsort.apis.tune_background:score_with_tuned_background',
    test_evaluator=[
        dict(type='mmpixsort.PerClassIoUMetric'),
        dict(type='mmpixsort.GroupOracleMetric'),
        dict(type='mmpixsort.RegionNounAccuracy')
    ])
tests = dict(
    test=_scoring,
    pairs={
        **_scoring, 'test_dataloader.dataset.split': 'pairs'
    })
arms = dict(
    nouns=dict(),
    sentences=dict(
        options={
            'model.decode_head.noun_loss': None,
            'model.decode_head.sentence_loss':
            dict(_delete_=True, type='mmpixsort.ImageSentenceLoss')
        }))
seeds = (0, 1, 2)
scores = ('mIoU', 'region_noun_accuracy', 'group_oracle_mIoU', 'threshold')
