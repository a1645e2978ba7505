"""Downloads: the files that stand below tables and figures."""
