"""Masks and contours of DICOM SEG, RTSTRUCT and NIfTI files, on the grid of their images."""
