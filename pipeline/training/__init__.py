"""Parts of the stage `train`: the data set it learns from, and what a kill does not lose."""
