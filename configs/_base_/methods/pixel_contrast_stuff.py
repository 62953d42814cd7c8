# Pixel contrast on COCO-Stuff and PASCAL-Context. The authors' configs (same
# repository, configs/coco_stuff and configs/pascal_context) differ from those
# for Cityscapes only in the temperature.
_base_ = './pixel_contrast.py'
pixel_contrast = dict(loss=dict(temperature=0.07))
