from wetread.headers.core.files cimport close, wetread_open, wetread_read, wetread_word
