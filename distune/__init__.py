"""distune: tune hyperparameters over nothing but a shared folder."""

__version__ = "0.1.0"
