"""The explorer: pages to look through a work folder in a browser, and to correct its labels."""
