"""The judgement of a trained model: gates, slices, golden set and model card."""
