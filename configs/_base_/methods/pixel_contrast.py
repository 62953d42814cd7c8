# Pixel contrast (Wang et al., arXiv 2101.11939) as in the released Cityscapes
# configurations for HRNet-W48 and DeepLabV3-R101: tfzhou/ContrastiveSeg at
# 287e5d3, configs/cityscapes, section `contrast`. No bank there.
# A config takes it as metric_head=dict(_base_.pixel_contrast, ...).
pixel_contrast = dict(
    type='mmpixsort.PixelContrastHead',
    embed_dims=256,  # proj_dim
    loss=dict(
        type='mmpixsort.PixelContrastLoss',
        temperature=0.1,
        base_temperature=0.07,
        loss_weight=0.1),
    sampler=dict(
        type='mmpixsort.HardAnchorSampler', max_samples=1024, max_views=100),
    warmup_iters=5000)  # of 40,000
custom_hooks = [dict(type='mmpixsort.MemoryBankHook')]
