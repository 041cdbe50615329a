from wetread.headers.core.constants cimport *
