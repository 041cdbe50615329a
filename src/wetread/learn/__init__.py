"""Learn: pictures decoded once, models that are trained on them, and what they say.

`prepare` decodes an index into a `cache`, whose `dataset` gives pictures and `targets` to PyTorch,
changed by `augment` where a model trains.
"""
