# Ablation: random keys.
_base_ = './pixel-contrast_deeplabv3-r18_1xb4-400it_camvid.py'
model = dict(
    metric_head=dict(
        miner=dict(type='mmpixsort.KeyMiner', strategy='random')))
