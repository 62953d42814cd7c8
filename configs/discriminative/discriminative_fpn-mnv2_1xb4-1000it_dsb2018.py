# Discriminative loss on nuclei of the Data Science Bowl 2018: a quarter of an
# hour on a CPU core.
#   python tools/train.py configs/discriminative/\
#       discriminative_fpn-mnv2_1xb4-1000it_dsb2018.py --cfg-options \
#       model.backbone.init_cfg.type=Pretrained \
#       model.backbone.init_cfg.checkpoint=path/to/backbone.pth
_base_ = [
    '../_base_/models/instance_fpn_mnv2_cpu.py',
    '../_base_/datasets/dsb2018_instances.py',
    '../_base_/schedules/schedule_instances_cpu.py'
]
model = dict(
    # nuclei are about 11 pixels wide, so features start at stride 2
    backbone=dict(out_indices=(0, 1, 2, 4, 6)),
    neck=dict(in_channels=[16, 24, 32, 96, 320], num_outs=5),
    head=dict(
        # as on leaves in the paper; relative, as images differ in shape
        embed_dims=16,
        # a weight of 1 costs two points of SBD: the mask matters most
        semantic_weight=5.,
        trunk=dict(coordinates='absolute'),
        # The shape of the mask proposes cuts, and the embedding may reject
        # them. The margin was chosen on the validation images
        # (docs/results.md), on which the paper's mean shift alone is worse
        # than a watershed.
        clusters=dict(
            type='mmpixsort.SeparatedComponentsBackend',
            margin=1.25,
            min_distance=3,
            min_pixels=20)))
custom_hooks = [
    dict(type='mmpixsort.MemoryBankHook'),
    dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=8)
]
