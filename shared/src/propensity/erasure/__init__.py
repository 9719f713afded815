"""The erasure of a person or a tenant from everything, with proof."""
