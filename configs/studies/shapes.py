# Generated shapes with captions: names of regions, learned from captions
# alone. shapes_captions.py compares it with the contrast of whole images.
title = 'Text grouping on generated shapes, 200 scenes not seen'
base = '../text_grouping/textgroup_tiny-rgbxy-km16_1xb32-3k_shapes-64x64.py'
arms = dict(nouns=dict())
seeds = (0, )
scores = ('mIoU', 'group_oracle_mIoU')
results = '../../docs/results/shapes'
