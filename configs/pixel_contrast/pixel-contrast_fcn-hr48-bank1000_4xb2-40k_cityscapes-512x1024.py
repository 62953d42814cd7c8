# Ablation: a memory bank of a fifth of the authors' capacity. Not trained yet.
_base_ = './pixel-contrast_fcn-hr48-bank5000_4xb2-40k_cityscapes-512x1024.py'
model = dict(metric_head=dict(bank=dict(capacity=1000)))
