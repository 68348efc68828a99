"""The loop that trains any workload's network, for the trials and for the final test.

Deterministic: on one device (and number of threads) the weights after a number of steps
depend on the seed and the hyperparameters only. So the winner need not be stored: the
test trains it again, up to the step at which it won.
"""
