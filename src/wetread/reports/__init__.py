"""Data-set report: an index, its boxes and predictions as one self-contained HTML file.

`build` assembles it: every module of `sections` queries the index (`subject`) with SQL and returns
`blocks`; their thumbnails are decoded at the end, within one size budget; `page` renders the
document. `charts` draws SVG, `markup` escapes; `common.privacy` lists the identifying attributes.
"""
