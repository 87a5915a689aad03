"""Simulated fields of cells: where the cells are, what their markers look like and where the protein is.

A picture is made in four steps, each a function of the one before and of a seeded generator:
`placement` puts cells on the slide, `outlines` draws their label images, `painters` give what the four
antibodies would bind, and `field` has the microscope.
"""
