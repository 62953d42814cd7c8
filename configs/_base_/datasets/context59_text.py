# Context59: PASCAL Context without background.
_base_ = './context60_text.py'
val_dataloader = dict(dataset=dict(type='PascalContextDataset59'))
test_dataloader = val_dataloader
