# Segment sorting on Cityscapes with the numbers that its author gave in issue
# 10 of jyhjinghwang/SegSort; all others are those for VOC 2012.
_base_ = './segsort.py'
segsort = dict(
    segmenter=dict(grid=8, num_iters=15),
    # prototypes of 2 iterations, each K * K * B at batch 8
    bank=dict(capacity=1024))
# 16 cells an axis; neighbours as in the script for several devices
retrieval = dict(num_neighbors=21, grid=(16, 16), num_iters=15)
