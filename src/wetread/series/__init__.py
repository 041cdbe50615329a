"""Series of an index: their slices, stacks and problems.

`reading` loads the geometry of every image from the index, `frames` that of the frames of
multi-frame files, `geometry` measures all series at once, `stacks` divides irregular series into
stacks, `checks` finds the problems of a stack, `build` makes the tables, `table` is their interface
and `query` adds them to SQL.
"""
