"""Simulated fields of cells: where the cells are, what their markers look like and where the protein is.

A picture is made in four steps, each a function of the one before and of a seeded generator:
`placement` puts cells on the slide, `outlines` draws their label images, `markers` and `painters`
give what the four antibodies would bind, and `optics` is the microscope.
"""
