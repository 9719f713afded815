"""Names and rows of the lake, and the views that cut them at a date."""
