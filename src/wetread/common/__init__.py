"""Helpers that every room uses: files, text, HTML, progress bars, identifying attributes."""
