"""Fitting the shipped gain model on the shipped training photographs: python -m baseline.selective.training NETWORK."""
