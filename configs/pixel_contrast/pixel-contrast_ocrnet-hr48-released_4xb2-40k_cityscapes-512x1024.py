# Pixel contrast with the layers and the input of the authors' released code,
# for weights that tools/model_converters/convert_contrastiveseg.py converted
# (tfzhou/ContrastiveSeg at 287e5d3: lib/models/nets/hrnet.py, `normalize` and
# `input_mode` in configs/cityscapes/H_48_D_4.json). Not trained here.
# One difference is left: the backbone of mmseg and the metric head enlarge
# maps with align_corners=False, theirs with True.
_base_ = './pixel-contrast_ocrnet-hr48_4xb2-40k_cityscapes-512x1024.py'
fcn, ocr = _base_.model.decode_head
model = dict(
    # images stay in BGR there, although mean and std are those of RGB
    data_preprocessor=dict(bgr_to_rgb=False),
    decode_head=[
        dict(fcn, kernel_size=3, align_corners=True),
        dict(ocr, dropout_ratio=0.05, align_corners=True)
    ])
