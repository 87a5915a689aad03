"""Find cells and nuclei: one protocol, several segmenters."""
