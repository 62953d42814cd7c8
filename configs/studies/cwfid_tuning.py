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
_folder = '../panoptic_segsort/panoptic-segsort_fpn-mnv2'
_disc = f'{_folder}-discriminative_1xb4-600it_cwfid.py'
# the rate of the small host of CamVid, whose backbone has the same weights;
# that of the configs was chosen for networks from scratch
_slow = {'optim_wrapper.optimizer.lr': 6e-4}
_near = _base_._near
_tests = dict(_base_._tests, near=_near)
arms = {
    'discriminative-20':
    dict(
        config=_disc,
        tests=_base_._tests,
        options={'model.head.semantic_weight': 20.}),
    'plain-slow':
    dict(
        config=f'{_folder}-components_1xb4-600it_cwfid.py',
        tests=dict(components={}, near=_near),
        options=_slow),
    'discriminative-slow':
    dict(config=_disc, tests=_tests, options=_slow)
}
results = '../../docs/results/cwfid_tuning'
