"""Pure rules of training: the settings to try, what they cost, the folds, and which customers are trained on."""
