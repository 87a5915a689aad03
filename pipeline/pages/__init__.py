"""Pages for people: templates, thumbnails and plots, and the report that is made of them."""
