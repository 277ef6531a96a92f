"""Lambent: your own AWS Lambda region."""

__version__ = "0.1.0"
