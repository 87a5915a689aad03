"""Tables in, estimators and tables out: folds, base learners, the stack, its thresholds and scores.

Nothing here knows files or configuration, except `bundle`, which saves and loads a trained model.
"""
