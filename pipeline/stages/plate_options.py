"""Options of the commands that know of plates and conditions. Imports nothing heavy."""

from pydantic import Field

from pipeline.core.stage import Options
from pipeline.data.dataset_options import Controls, Method, Minimum, Normalisation, Work


class NormaliseOptions(Options):
    """Options of `normalise`."""

    work: Work
    by: str = Field(description="Column of the samples whose values are plates, such as Metadata_Plate.")
    method: Method = "robust-z"
    controls: Controls = None
    minimum: Minimum = 6

    @property
    def normalisation(self) -> Normalisation:
        """How features are normalised."""
        return Normalisation(**self.model_dump(exclude={"work"}))
