# Pixel contrast (Wang et al., arXiv 2101.11939) with the numbers of the
# authors' configs for HRNet-W48 and DeepLabV3-R101 on Cityscapes, which have
# no memory bank: tfzhou/ContrastiveSeg at 287e5d3, configs/cityscapes, section
# `contrast`. Use it in a config as metric_head=dict(_base_.pixel_contrast,
# ...).
pixel_contrast = dict(
    type='mmpixsort.PixelContrastHead',
    embed_dims=256,  # called proj_dim there
    loss=dict(
        type='mmpixsort.PixelContrastLoss',
        temperature=0.1,
        base_temperature=0.07,
        loss_weight=0.1),
    sampler=dict(
        type='mmpixsort.HardAnchorSampler', max_samples=1024, max_views=100),
    warmup_iters=5000)  # of 40,000 iterations
custom_hooks = [dict(type='mmpixsort.MemoryBankHook')]
