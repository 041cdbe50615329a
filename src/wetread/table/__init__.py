"""The table: one row per source, in memory or as an index folder.

`scan` turns sources into rows, `parts` keeps them on disk, `merge` tells what changed and puts
parts in order, `store` opens and queries, `checks` looks across rows, `summary` counts, `frame`
makes pandas of it, `progress` says how far it is, `files` writes whole files.
"""
