"""The index: one row per file, in memory or in an index folder.

`scan` reads files into rows, `parts` stores them as Parquet, `merge` merges old and new rows,
`rows` opens an index, `query` and `database` run SQL on it, `problems` finds problems across files,
`summary` counts, `extra_columns` adds columns, `jobs` merges shards, `mirror` copies an index from
and to a bucket.
"""
