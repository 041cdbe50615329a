"""Sources: find files, archive members and objects of a bucket, and read them by range."""
