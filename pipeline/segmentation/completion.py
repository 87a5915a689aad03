"""Masks of cells and nuclei, or of one of the two, made into pairs of a cell and its nucleus."""

from collections import Counter

import numpy as np
from skimage.segmentation import expand_labels

from pipeline.data.masks import Segmentation, smallest_type, without_gaps
from pipeline.data.pictures import Picture
from pipeline.segmentation import Segmenter
from pipeline.segmentation.label_images import Integers, Labels, holders, largest_pieces, owners

ALONE = "nuclei in no cell"
FURTHER = "further nuclei of a cell"
EMPTY = "cells without a nucleus"


def paired(cells: Integers, nuclei: Integers, *, keep_all: bool) -> tuple[Segmentation, Counter[str]]:
    """Match given cells with nuclei as found ones are; cells keep their labels and pixels.

    A nucleus belongs to the cell that holds most of it, if that is at least half; of several in a cell the
    largest stays; nuclei are cut to their cell and get its label.

    Parameters
    ----------
    cells, nuclei : ndarray, shape (height, width), whole numbers
    keep_all : bool
        Whether cells without a nucleus stay.

    Returns
    -------
    Segmentation
    Counter
        How many objects are left out, by why.
    """
    (numbers, (own,)), (known, (inner,)) = without_gaps(cells), without_gaps(nuclei)
    renamed = owners(own, inner)[inner]
    inside = np.where(renamed == own, renamed, 0)
    present = np.unique(inside)
    alone = np.count_nonzero(holders(own, inner)[1:] == 0)
    with_nucleus = np.count_nonzero(present)
    left_out = Counter({ALONE: alone, FURTHER: len(known) - 1 - alone - with_nucleus})
    if not keep_all:
        left_out[EMPTY] = len(numbers) - 1 - with_nucleus
        stays = np.zeros(len(numbers), bool)
        stays[present] = True
        own = np.where(stays[own], own, 0)
    numbers = numbers.astype(smallest_type(int(numbers[-1])))
    return Segmentation(numbers[own], numbers[inside]), +left_out


def nuclei_found(
    cells: Integers, picture: Picture, segmenter: Segmenter
) -> tuple[Segmentation, Counter[str]]:
    """Return given cells with the nuclei that a segmenter finds in them; those without are left out."""
    found, left_out = paired(cells, segmenter.nuclei_in(picture), keep_all=False)
    return found, +Counter({EMPTY: left_out[EMPTY]})  # other nuclei were not given


def cells_found(nuclei: Integers, picture: Picture, segmenter: Segmenter) -> Segmentation:
    """Return given nuclei with the cells that a segmenter finds around them, labelled alike."""
    numbers, (inner,) = without_gaps(nuclei)
    return _around(numbers, inner, largest_pieces(segmenter.cells_around(inner, picture)))


def cells_grown(nuclei: Integers, pixels: float) -> Segmentation:
    """Return given nuclei in cells that reach so many pixels further, or half-way to the next nucleus."""
    numbers, (inner,) = without_gaps(nuclei)
    return _around(numbers, inner, np.asarray(expand_labels(inner, pixels), np.int32))


def _around(numbers: Integers, nuclei: Labels, cells: Labels) -> Segmentation:
    numbers = numbers.astype(smallest_type(int(numbers[-1])))
    return Segmentation(numbers[cells], numbers[np.where(nuclei == cells, nuclei, 0)])
