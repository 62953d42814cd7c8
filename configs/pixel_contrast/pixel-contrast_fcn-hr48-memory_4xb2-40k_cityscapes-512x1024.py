# The authors' configuration with memory for Cityscapes (tfzhou/ContrastiveSeg
# at 287e5d3, configs/cityscapes): keys come from the memory bank alone, and
# each image gives one anchor for each class. Their README reports no score
# with memory. Not trained yet.
_base_ = './pixel-contrast_fcn-hr48_4xb2-40k_cityscapes-512x1024.py'
model = dict(
    metric_head=dict(
        loss=dict(temperature=0.07, loss_weight=1.0),
        sampler=dict(max_views=1),
        bank=dict(type='mmpixsort.ClassQueue', capacity=5000),
        keys=dict(scope='bank', num_bank_pixels=10)))
