# cython: language_level=3
"""Constants of the compiled walk and its callers; see `constants.pxd`."""
