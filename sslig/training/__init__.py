"""Training: Lightning fits a detector, dev judges it after each epoch, and the best weights are kept."""
