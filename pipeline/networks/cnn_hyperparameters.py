"""What decides the weights of a CNN beside its pictures. Imports nothing heavy: options inherit from it."""

from typing import Literal

from pydantic import Field

from pipeline.core.stage import Options

Loss = Literal["bce", "focal"]


class CnnHyperparameters(Options):
    """What decides the trained weights, apart from the pictures."""

    network: str = Field(
        "densenet121", description="densenet121, resnet18, resnet34, resnet50 or compact, the fastest."
    )
    side: int = Field(384, ge=32, description="Side in pixels that pictures are brought to.")
    crop: int = Field(288, ge=32, description="Side of the random views it is trained on.")
    epochs: int = Field(30, ge=1, description="Passes over the pictures, at most.")
    patience: int = Field(8, ge=1, description="Epochs without a better validation log-loss before it stops.")
    batch: int = Field(32, ge=2, description="Pictures in a step.")
    learning_rate: float = Field(2e-3, gt=0, description="Highest learning rate of the cosine schedule.")
    weight_decay: float = Field(1e-2, ge=0, description="Of AdamW.")
    averaging: float = Field(0.995, ge=0, lt=1, description="What a step keeps of the average of weights.")
    loss: Loss = Field("bce", description="Binary cross-entropy or focal loss; both weigh rare locations.")
    seed: int = Field(0, ge=0, description="The same seed gives the same model, bit for bit.")
