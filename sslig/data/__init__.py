"""The data set of training and scoring, and the augmentation of training recordings."""
