"""Models of segments and of tenants, where the evidence supports them."""
