# Generated street scenes: the small host alone, with pixel contrast, and with
# segment sorting in place of the classifier, from random weights.
title = 'Street scenes, 64 scenes not seen'
base = '../plain/plain_fcn-mnv2_1xb4-600it_street-scenes.py'
_method = '_fcn-mnv2_1xb4-600it_street-scenes.py'
arms = dict(
    plain=dict(),
    contrast=dict(config=f'../pixel_contrast/pixel-contrast{_method}'),
    sorting=dict(config=f'../segsort/segsort{_method}'))
seeds = (0, )
scores = ('mIoU', 'mBoundaryF')
average = dict(last=5, interval=30)
results = '../../docs/results/street_scenes'
