"""Errors that the user can mend, told in one line."""


class PipelineError(Exception):
    """Something the user can fix: a missing file, an unknown location, columns that do not match a model.

    The message is one line that names the file or value at fault and the remedy. The command line
    prints it and exits with status 2; any other exception is a defect and keeps its traceback.
    """
