"""Compiled loops over pixels that two or more families, or the modules above them, use."""
