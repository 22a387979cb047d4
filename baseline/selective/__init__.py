"""Restoring where there is blur: what each part of a picture would gain, and no more work than that asks for."""
