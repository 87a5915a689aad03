"""The commands of run.py: parse, call the stage, print. Heavy imports happen inside the functions."""
