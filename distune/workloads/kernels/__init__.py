"""Convolution with max-pooling, in C: a step of such a network takes about half the time."""
