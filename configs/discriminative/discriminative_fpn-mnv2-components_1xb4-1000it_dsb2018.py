# Baseline of discriminative_fpn-mnv2_1xb4-1000it_dsb2018.py: the same network
# without an embedding loss; instances are the connected components of its
# mask. To use a watershed of the distance to the border instead, add
#   --cfg-options model.head.clusters.watershed=True
_base_ = './discriminative_fpn-mnv2_1xb4-1000it_dsb2018.py'
model = dict(
    head=dict(
        semantic_weight=1.,  # the only loss
        loss=dict(
            type='mmpixsort.DiscriminativeLoss',
            pull_weight=0.,
            push_weight=0.,
            reg_weight=0.),
        clusters=dict(
            _delete_=True, type='mmpixsort.ComponentsBackend',
            min_pixels=20)))
