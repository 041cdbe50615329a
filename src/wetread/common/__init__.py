"""Common helpers: files, text, HTML, progress bars, identifying attributes (PHI)."""
