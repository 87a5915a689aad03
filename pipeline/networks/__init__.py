"""Convolutional networks: architectures, weights, training, embeddings."""
