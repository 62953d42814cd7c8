"""Words and regions: contrast, cleaning, attention and naming of regions."""
