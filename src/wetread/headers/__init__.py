"""Headers: the first bytes of many files become typed Arrow columns.

`blocks` reads the bytes, `walk` steps through thousands of headers at once, `single` through the
odd ones, `columns` turns the elements into Arrow arrays, `schema` says which column has which type,
and `reading` puts the rows together.
"""
