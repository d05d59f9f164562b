"""Uploaded files, their thumbnails and where their bytes are kept."""
