# Text grouping without training on PASCAL-Context with background.
#   python tools/test.py configs/text_grouping/\
#       textgroup_clip-vitb16_dino-vits8-km16_zs_ctx60-448x448.py none
_base_ = [
    'mmseg::_base_/default_runtime.py',
    '../_base_/datasets/context60_text.py',
    '../_base_/models/textgroup_clip-vitb16_dino-vits8.py'
]
model = dict(
    decode_head=dict(
        bank=dict(classes=_base_.words, aliases=_base_.aliases),
        # not tuned; use tools/tune_background.py on training images
        background='probability',
        threshold=.2))
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
