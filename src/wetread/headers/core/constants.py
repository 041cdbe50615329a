"""Numbers that the compiled walk and its callers share; `constants.pxd` has them."""
