# VOC20: PASCAL VOC 2012 without background (ignored), 1449 val images.
_base_ = './voc21_text.py'
val_dataloader = dict(dataset=dict(metainfo=dict(classes=_base_.words)))
test_dataloader = val_dataloader
