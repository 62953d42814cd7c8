"""Words and regions: contrast, pooling, clean-up, attention and naming."""
