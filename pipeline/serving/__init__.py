"""Answers without folders: a model that stays in memory, for Python, over HTTP, and beside a microscope."""

from pipeline.serving.answers import Answer, LocationAnswer, ModelInfo, Seconds
from pipeline.serving.predictor import Predictor

__all__ = ["Answer", "LocationAnswer", "ModelInfo", "Predictor", "Seconds"]
