"""Parts of the stage `train-cnn`: augmentation, losses, and the training of one network."""
