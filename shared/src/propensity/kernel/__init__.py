"""The pure ground that every room stands on: errors, YAML specs, SQL text, tenant names, callers, pages and charts."""
