# Segment sorting on Cityscapes as its author gave it in thread 10 of the
# public tracker of jyhjinghwang/SegSort; what is not said there is that of
# VOC 2012.
_base_ = './segsort.py'
segsort = dict(
    segmenter=dict(grid=8, num_iters=15),
    # 2 iterations of K * K * B prototypes at batch 8
    bank=dict(capacity=1024))
# 16 cells an axis; k of the script for several devices
retrieval = dict(num_neighbors=21, grid=(16, 16), num_iters=15)
