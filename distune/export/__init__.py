"""What remains of a study for other programs: files, an Optuna storage, TensorBoard's events."""
