"""The report: what an index, its boxes and predictions say, as one self-contained HTML file.

`build` makes it: every file of `sections` asks the index (`subject`) in SQL and answers with
`blocks`, whose pictures (`thumbnails`) are decoded at the end, all within one budget; `page` puts
them together. `charts` draws SVG, `markup` escapes; `common.privacy` says what is not shown.
"""
