# Baseline of panoptic-segsort_fpn-mnv2_1xb4-600it_cwfid.py: the same network
# with the discriminative loss in place of segment sorting.
_base_ = './panoptic-segsort_fpn-mnv2_1xb4-600it_cwfid.py'
model = dict(
    head=dict(
        _delete_=True,
        type='mmpixsort.PanopticDiscriminativeHead',
        in_index=0,
        in_channels=64,
        num_things=2,
        num_stuff=1,
        embed_dims=16,
        trunk=dict(coordinates='absolute'),
        # in cells; relative, as crops are smaller than images
        clusters=dict(
            type='mmpixsort.MeanShiftBackend',
            min_pixels=4,
            split_components=True)))
custom_hooks = [
    dict(type='mmpixsort.MemoryBankHook'),
    dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=8)
]
