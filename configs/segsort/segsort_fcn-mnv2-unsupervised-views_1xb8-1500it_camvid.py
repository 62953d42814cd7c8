# Segment sorting without annotation from two views of every image, whose equal
# regions attract each other (Ke et al., arXiv 2204.11432). A batch of 8 has 4
# images (configs/studies/camvid_unsupervised.py).
_base_ = './segsort_fcn-mnv2-unsupervised_1xb8-1500it_camvid.py'
train_dataloader = dict(
    sampler=dict(type='mmpixsort.ViewsSampler', num_views=2))
model = dict(metric_head=dict(num_views=2))
