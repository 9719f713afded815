"""A person or a tenant taken out of everything, with proof."""
