# Generated sticks that cross: instances by the embedding, on scenes that were
# not used in training.
title = 'Scattered sticks, 64 scenes not seen'
base = '../discriminative/discriminative_unet_1xb4-2000it_sticks.py'
arms = dict(embedding=dict())
seeds = (0, 1, 2)
scores = ('SBD', 'abs_DiC', 'DSB_AP')
results = '../../docs/results/sticks'
