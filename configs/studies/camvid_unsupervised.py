# CamVid: segment sorting without annotation, compared with sorting with
# labels. Neither has a classifier, and both use an annotated bank.
title = 'CamVid, segment sorting from regions alone'
base = '../segsort/segsort_fcn-mnv2_1xb8-1500it_camvid.py'
options = {
    'model.backbone.init_cfg':
    dict(
        type='Pretrained',
        checkpoint='data/weights/mobilenetv2_1.0_imagenet_mmseg_fp16.pth')
}
arms = dict(
    labels=dict(),
    regions=dict(
        config='../segsort/'
        'segsort_fcn-mnv2-unsupervised_1xb8-1500it_camvid.py'))
seeds = (0, 1, 2)
scores = ('mIoU', 'mBoundaryF')
average = dict(last=5, interval=60)
results = '../../docs/results/camvid_unsupervised'
