# Generated street scenes: does panoptic sorting retrieve things in more
# similar contexts than the logits of the same network do?
title = 'Street scenes: panoptic quality, and context of retrieved things'
base = '../panoptic_segsort/panoptic-segsort_fpn-mnv2_1xb4-600it_' \
    'street-scenes.py'
tests = dict(
    panoptic={},
    context=dict(scorer='mmpixsort.apis.context_report:score_context_of_run'))
arms = dict(
    sorting=dict(),
    # stuff of one class attracts across images, so that images can be told
    # less easily (street_context_tuning.py)
    stuff=dict(options={'model.head.stuff_across_images': 'positive'}),
    # the embedding does not reach the classes (street_context_tuning.py)
    isolated=dict(options={'model.head.trunk.isolated': True}))
seeds = (0, 1, 2)
scores = ('PQ', 'context_embedding', 'context_logits', 'context_over_logits')
average = dict(last=5, interval=30)
results = '../../docs/results/street_context'
