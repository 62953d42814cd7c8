# Ablation: keys from the batch and a memory bank of the authors' capacity. Not
# trained yet.
_base_ = './pixel-contrast_fcn-hr48_4xb2-40k_cityscapes-512x1024.py'
model = dict(
    metric_head=dict(bank=dict(type='mmpixsort.ClassQueue', capacity=5000)))
