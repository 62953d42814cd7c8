# Pixel contrast with the layers and the input of the authors' released code,
# for weights that tools/model_converters/convert_contrastiveseg.py converted
# (tfzhou/ContrastiveSeg at 287e5d3: lib/models/nets/deeplab.py, `normalize`
# and `input_mode` in configs/cityscapes/R_101_D_8.json). Not trained here.
# One difference is left: the pooling of their stem rounds sizes up, so that
# with sides that are multiples of 8 their maps are a pixel larger than ours.
_base_ = './pixel-contrast_deeplabv3-r101-d8_4xb2-40k_cityscapes-512x1024.py'
model = dict(
    data_preprocessor=dict(
        bgr_to_rgb=False,
        mean=[102.9801, 115.9465, 122.7717],
        std=[1., 1., 1.]),
    backbone=dict(stem_channels=128),
    decode_head=dict(
        type='mmpixsort.RefinedASPPHead',
        dropout_ratio=0.,
        align_corners=True),
    auxiliary_head=dict(dropout_ratio=0., align_corners=True))
