"""Images: one opened image, batch decoding, export and mosaics."""
