# Panoptic segment sorting, a reconstruction (docs/panoptic_segsort.md). A
# config takes it as head=dict(_base_.panoptic_segsort, ...).
panoptic_segsort = dict(
    type='mmpixsort.PanopticSegSortHead',
    embed_dims=32,  # as SegSort, as the concentration
    loss=dict(type='mmpixsort.PanopticSegSortLoss', concentration=10.),
    # one iteration: its prototypes are negatives only
    bank=dict(
        type='mmpixsort.PrototypeQueue', capacity=512, num_iterations=1))
custom_hooks = [
    dict(type='mmpixsort.MemoryBankHook'),
    dict(type='mmpixsort.LinkageThresholdHook')
]
