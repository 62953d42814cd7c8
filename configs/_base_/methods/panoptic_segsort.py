# Panoptic segment sorting, a reconstruction; see docs/panoptic_segsort.md. Use
# it in a config as head=dict(_base_.panoptic_segsort, ...).
panoptic_segsort = dict(
    type='mmpixsort.PanopticSegSortHead',
    embed_dims=32,  # as in SegSort, like the concentration
    loss=dict(type='mmpixsort.PanopticSegSortLoss', concentration=10.),
    # one iteration, whose prototypes are negatives only
    bank=dict(
        type='mmpixsort.PrototypeQueue', capacity=512, num_iterations=1))
custom_hooks = [
    dict(type='mmpixsort.MemoryBankHook'),
    dict(type='mmpixsort.LinkageThresholdHook')
]
