"""What a trained model has to prove: gates, slices, golden set and model card."""
