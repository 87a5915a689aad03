"""Cell lines: how big, how crowded, how elongated cells are, and how their markers look."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CellLine:
    """The look of one line of cultured cells.

    Attributes
    ----------
    name : str
        The line of the Human Protein Atlas that it imitates.
    nucleus_um : float
        Mean diameter of a nucleus in micrometres.
    reach : float
        Radius of a cell over the radius of its nucleus, where it has room to spread.
    elongation : float
        Length over width of a cell; cells of elongated lines lie parallel to their neighbours.
    spikes : float
        How far processes stick out of the outline, relative to its radius.
    ruffles_um : float
        How rough the outline is.
    cells : float
        Mean number of cells in a square of 164 µm (a 512-pixel picture at 0.32 µm).
    cohesion : float
        Probability that a cell settles beside another rather than anywhere.
    nucleoli : float
        Mean number of nucleoli.
    filaments : float
        Density of microtubules relative to the average line.
    """

    name: str
    nucleus_um: float
    reach: float
    elongation: float
    spikes: float
    ruffles_um: float
    cells: float
    cohesion: float
    nucleoli: float
    filaments: float


CELL_LINES = (
    CellLine("U-2 OS", 18.5, 2.50, 1.50, 0.30, 0.5, 10, 0.35, 3.5, 1.0),
    CellLine("A-431", 16.5, 2.00, 1.20, 0.12, 0.5, 18, 0.75, 2.5, 0.8),
    CellLine("U-251 MG", 17.0, 2.30, 2.20, 0.50, 0.4, 11, 0.35, 3.0, 1.2),
    CellLine("HeLa", 16.5, 2.15, 1.65, 0.35, 0.6, 14, 0.5, 3.0, 1.0),
    CellLine("HEK 293", 14.0, 1.85, 1.40, 0.25, 0.6, 24, 0.75, 2.0, 0.7),
    CellLine("MCF7", 16.0, 1.95, 1.15, 0.10, 0.5, 17, 0.85, 2.0, 0.8),
    CellLine("SH-SY5Y", 13.5, 2.00, 2.00, 0.90, 0.4, 16, 0.4, 2.5, 0.9),
    CellLine("BJ", 17.5, 2.70, 2.70, 0.35, 0.3, 7, 0.3, 3.0, 1.3),
)
"""Lines from large and flat to small and crowded, from round to long."""
