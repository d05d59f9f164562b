"""Media: uploads, downloads and thumbnails (client-server API, Content repository)."""
