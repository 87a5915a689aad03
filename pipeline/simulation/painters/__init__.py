"""Painters: for each of the 28 locations, where a protein that lives there is found in a field of cells.

A painter takes the geometry of a field and a generator and returns one plane in which a bright
structure is about 1. It knows nothing of expression, mixing, blur or noise.
"""

from collections.abc import Callable

import numpy as np

from pipeline.simulation.drawing import Plane
from pipeline.simulation.painters import cytoplasm, cytoskeleton, nuclear
from pipeline.simulation.scene import Scene

Painter = Callable[[Scene, np.random.Generator], Plane]

PAINTERS: dict[str, Painter] = {
    "Nucleoplasm": nuclear.nucleoplasm,
    "Nuclear membrane": nuclear.nuclear_membrane,
    "Nucleoli": nuclear.nucleoli,
    "Nucleoli fibrillar center": nuclear.fibrillar_center,
    "Nuclear speckles": nuclear.nuclear_speckles,
    "Nuclear bodies": nuclear.nuclear_bodies,
    "Endoplasmic reticulum": cytoplasm.endoplasmic_reticulum,
    "Golgi apparatus": cytoplasm.golgi_apparatus,
    "Peroxisomes": cytoplasm.peroxisomes,
    "Endosomes": cytoplasm.endosomes,
    "Lysosomes": cytoplasm.lysosomes,
    "Intermediate filaments": cytoskeleton.intermediate_filaments,
    "Actin filaments": cytoskeleton.actin_filaments,
    "Focal adhesion sites": cytoskeleton.focal_adhesion_sites,
    "Microtubules": cytoskeleton.microtubules,
    "Microtubule ends": cytoskeleton.microtubule_ends,
    "Cytokinetic bridge": cytoskeleton.cytokinetic_bridge,
    "Mitotic spindle": cytoskeleton.mitotic_spindle,
    "Microtubule organizing center": cytoskeleton.microtubule_organizing_center,
    "Centrosome": cytoskeleton.centrosome,
    "Lipid droplets": cytoplasm.lipid_droplets,
    "Plasma membrane": cytoskeleton.plasma_membrane,
    "Cell junctions": cytoskeleton.cell_junctions,
    "Mitochondria": cytoplasm.mitochondria,
    "Aggresome": cytoplasm.aggresome,
    "Cytosol": cytoplasm.cytosol,
    "Cytoplasmic bodies": cytoplasm.cytoplasmic_bodies,
    "Rods & rings": cytoplasm.rods_and_rings,
}
"""The painter of each location, in the order of the 28 classes."""
