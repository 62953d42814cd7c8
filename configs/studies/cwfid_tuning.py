# Field plants on a fold of the training images, by which the settings of
# cwfid.py are chosen. Every fourth of the 39 training images is held out. The
# 21 images of that study are not used.
_base_ = './cwfid.py'
title = 'CWFID, tuning on a fold of the training images'
_held_out = list(range(0, 39, 4))
options = {
    'train_dataloader.dataset.indices':
    [i for i in range(39) if i not in _held_out],
    'val_dataloader.dataset.indices': _held_out,
    'val_dataloader.dataset.ann_file': 'panoptic_train.json',
    'val_dataloader.dataset.data_prefix':
    dict(img='images/train', seg='panoptic/train'),
}
_disc = '../panoptic_segsort/panoptic-segsort_fpn-mnv2-discriminative' \
    '_1xb4-600it_cwfid.py'
arms = {
    'discriminative-20':
    dict(
        config=_disc,
        tests=_base_._tests,
        options={'model.head.semantic_weight': 20.})
}
results = '../../docs/results/cwfid_tuning'
