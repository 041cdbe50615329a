"""Measure: pixel statistics and image-quality metrics as columns."""
