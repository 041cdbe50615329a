"""Headers: the first bytes of many files become typed Arrow columns.

`core` is the compiled walk over the elements and the builder of the columns; `blocks` and `walks`
call it for many files at once, `building` and `columns` make the Arrow arrays, `schema` has the
type of each column, and `reading` puts the rows together.
"""
