"""Sources: find and open files, members of archives and objects of buckets."""
