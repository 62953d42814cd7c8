# Text grouping trained on captions, such as CC3M, from the weights of a CLIP
# with a frozen text tower; tested on VOC with background. Not trained yet.
#   python tools/extract_nouns.py captions.jsonl --lexicon everyday \
#       --out data/captions/nouns.jsonl
#   tools/dist_train.sh configs/text_grouping/\
#       textgroup_clip-vitb16_dino-vits8-km16_4xb64-40k_captions-224x224.py 4
_base_ = [
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_40k.py',
    '../_base_/datasets/voc21_text.py',
    '../_base_/datasets/image_captions_text.py',
    '../_base_/models/textgroup_clip-vitb16_dino-vits8.py'
]
model = dict(
    backbone=dict(freeze='text'),
    decode_head=dict(
        bank=dict(classes=_base_.words, aliases=_base_.aliases),
        noun_loss=dict(
            _delete_=True, type='mmpixsort.NounRegionLoss'),
        # preserves the embeddings of whole images
        sentence_loss=dict(
            _delete_=True, type='mmpixsort.ImageSentenceLoss'),
        background='probability',
        threshold=.2))
train_dataloader = dict(batch_size=64)
# for fine-tuning a CLIP; our choice, not tuned
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-5, weight_decay=0.05),
    paramwise_cfg=dict(custom_keys={'logit_scale': dict(decay_mult=0.)}),
    clip_grad=dict(max_norm=1.))
# no loss depends on some parameters in the last layers of CLIP
find_unused_parameters = True
