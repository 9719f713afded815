"""Pure rules of evaluation: gates, comparisons of models, gains, and the words of the model card."""
