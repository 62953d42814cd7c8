# Segment sorting on CamVid on a CPU with a classifier on the embedding's
# feature that does not shape it, as in SPML.
_base_ = './segsort_deeplabv3-mnv2_1xb4-400it_camvid.py'
model = dict(classifier='detached')
