"""The ladder of models: segments and tenants get models of their own, where the evidence supports them."""
