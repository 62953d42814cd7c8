# Segment sorting (Hwang et al., arXiv 1910.06962) with the numbers of the
# authors' script for VOC 2012 on one device: jyhjinghwang/SegSort at 4e3278b,
# bashscripts/voc12/train_segsort.sh. Use it in a config as
# metric_head=dict(_base_.segsort, ...).
segsort = dict(
    type='mmpixsort.SegSortHead',
    source='decoder',  # the embedding replaces the classifier
    embed_dims=32,
    # one 1x1 convolution, like the classifier that it replaces
    projection=dict(type='mmpixsort.ProjectionHead', linear=True),
    segmenter=dict(type='mmpixsort.KMeansSegmenter', grid=5, num_iters=10),
    loss=dict(type='mmpixsort.SegSortLoss', concentration=10.),
    # prototypes of 2 iterations, each K * K * B = 200 at batch 8
    bank=dict(
        type='mmpixsort.PrototypeQueue', capacity=400, num_iterations=2))
# number of neighbours of inference_segsort.py in the same script
retrieval = dict(num_neighbors=15)
custom_hooks = [
    dict(type='mmpixsort.MemoryBankHook'),
    dict(type='mmpixsort.PrototypeBankHook')
]
