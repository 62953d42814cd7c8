# The released configurations for COCO-Stuff and PASCAL-Context (same
# repository, configs/coco_stuff and configs/pascal_context) differ from the
# Cityscapes ones in the temperature.
_base_ = './pixel_contrast.py'
pixel_contrast = dict(loss=dict(temperature=0.07))
