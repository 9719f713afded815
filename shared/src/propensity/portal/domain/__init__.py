"""From when a tenant will have outcomes enough."""
