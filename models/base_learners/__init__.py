"""Base learners of the stack, behind one interface."""
