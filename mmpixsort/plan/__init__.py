"""State the memory and the time of a setting before it is run.

`python -m mmpixsort.plan --help` shows how. Sizes of banks and of what ranks
exchange are exact; the peak of a loss comes from a run of the loss on tensors
without data; times are scaled from measured points.
"""
