"""The only place that knows files, configuration and progress; one module per stage."""
