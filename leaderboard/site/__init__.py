"""From the database to a folder of static pages."""
