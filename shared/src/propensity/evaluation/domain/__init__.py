"""Gates, comparisons, gains and the card's words as values."""
