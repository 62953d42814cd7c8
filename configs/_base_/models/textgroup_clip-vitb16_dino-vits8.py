# CLIP ViT-B/16 with region tokens in its last layers, and groups made with
# DINO ViT-S/8. Nothing is downloaded: put the weights at these paths, or set
# others with --cfg-options model.backbone.pretrained=... \
#   model.decode_head.grouper.feature.checkpoint=...
# mean and standard deviation of CLIP, in [0, 255]
clip_mean = [122.771, 116.746, 104.094]
clip_std = [68.501, 66.632, 70.323]
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=clip_mean,
    std=clip_std,
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size_divisor=1,
    test_cfg=dict(size_divisor=1))
model = dict(
    type='mmpixsort.TextGroupSegmentor',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='mmpixsort.OpenCLIPDual',
        model_name='ViT-B-16',
        pretrained='checkpoints/ViT-B-16.pt',
        freeze='all',
        # the last three of twelve layers, as in SAN
        regions=dict(context='late', start_layer=-3)),
    decode_head=dict(
        type='mmpixsort.TextGroupHead',
        grouper=dict(
            type='mmpixsort.RegionGrouper',
            feature=dict(
                type='mmpixsort.SSLFeature',
                name='vit_small_patch8_224.dino',
                checkpoint='checkpoints/dino_vits8.pth',
                facet='key',
                size=(224, 224),  # 28 x 28 patches
                input_mean=clip_mean,
                input_std=clip_std),
            grid=4),  # 16 groups; numbers without a source are our own choice
        bank=dict(type='mmpixsort.TextBank', templates='varied'),
        noun_loss=None,
        sentence_loss=None),
    # windows of 448 with half a window of overlap, as in GroupViT and TCL; the
    # image is grouped once
    test_cfg=dict(mode='slide', crop_size=(448, 448), stride=(224, 224)))
