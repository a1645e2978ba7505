"""The site: a folder of static pages from the database."""
