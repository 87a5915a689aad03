"""Find cells and nuclei: one protocol, several segmenters."""

from pipeline.segmentation.protocol import Segmentation, Segmenter

__all__ = ["Segmentation", "Segmenter"]
