# Generated street scenes: what brings the contexts of things into the
# embedding of panoptic sorting? On 64 scenes that are neither of the training
# nor of the test.
title = 'Street scenes: context of retrieved things, validation'
base = '../panoptic_segsort/panoptic-segsort_fpn-mnv2_1xb4-600it_' \
    'street-scenes.py'
options = {
    'test_dataloader.dataset.split': 'val',
    'test_dataloader.dataset.num_images': 64
}
tests = dict(
    panoptic={},
    context=dict(scorer='mmpixsort.apis.context_report:score_context_of_run'))
arms = {
    'sorting': dict(),
    # all levels of the pyramid, up to stride 32, see more of the surroundings
    'levels': dict(options={
        'model.head.in_index': (0, 1, 2, 3),
        'model.head.in_channels': 256
    }),
    # stuff of all images attracts, so that an image can be told less easily
    'stuff': dict(options={'model.head.stuff_across_images': 'positive'}),
    # no negatives of earlier images
    'no-bank': dict(options={'model.head.bank': None}),
    # a place in the image takes no part in the embedding
    'no-places': dict(options={'model.head.trunk.coordinates': None}),
    # the embedding does not reach the classes
    'isolated': dict(options={'model.head.trunk.isolated': True})
}
seeds = (0, )
scores = ('PQ', 'context_embedding', 'context_logits', 'context_over_logits')
average = dict(last=5, interval=30)
results = '../../docs/results/street_context_tuning'
