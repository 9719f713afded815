"""The pure floor of delivery."""
