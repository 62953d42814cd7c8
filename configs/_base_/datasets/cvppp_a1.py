# CVPPP Leaf Segmentation Challenge, A1: 128 plants with labels, 500 pixels
# wide and 530 high (De Brabandere et al., section 4; the labels of its 33
# test images are not public). Layout below data_root: A1/plant001_rgb.png,
# A1/plant001_label.png, A1/plant001_fg.png. For the test images of the
# challenge, which have no labels, set label_suffix=None in the data set; the
# mask of the plant is read from _fg.png.
dataset_type = 'mmpixsort.CVPPPDataset'
data_root = 'data/cvppp'
# There is no official validation split. The last 28 plants are held out, as
# many as in the only public reproduction with a number (SBD 87.9 of
# Wizaron/instance-segmentation-pytorch, on its own choice of 28). A block of
# plants is taken in place of every fifth, since neighbours are photographs of
# one experiment.
num_train, num_val = 100, 28
crop_size = (512, 512)  # the input of the paper
# (long, short) side: 512 / 500 * 530 = 542.7
crop_scale = (543, 512)
# (width, height) for the test, multiples of 32; the ratio differs from that of
# 500 x 530 by 0.3 %
image_scale = (512, 544)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpixsort.LoadInstanceMap'),
    # The paper scales, flips and rotates, but does not say how far. A crop is
    # never larger than the image. Images are not rotated here, as their
    # corners would have to be invented.
    dict(
        type='RandomResize',
        scale=crop_scale,
        ratio_range=(1.0, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    # plants are seen from above, so both flips are natural
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='mmpixsort.PaintInstanceMap'),
    dict(type='mmpixsort.PackInstanceInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=False),
    # loaded after Resize, as ground truth is scored at its own size
    dict(type='mmpixsort.LoadInstanceMap'),
    dict(type='mmpixsort.PaintInstanceMap'),
    dict(type='mmpixsort.PackInstanceInputs')
]
# The paper does not state the batch size.
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        indices=num_train,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        indices=-num_val,  # the last images
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='mmpixsort.InstanceMapMetric')]
test_evaluator = val_evaluator
