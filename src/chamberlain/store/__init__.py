"""All SQL: two drivers, one text, one module per aggregate."""
