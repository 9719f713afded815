"""Settings to try, what they cost, folds, and who is trained on."""
