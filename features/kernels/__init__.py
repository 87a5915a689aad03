"""Compiled loops over pixels that families share."""
