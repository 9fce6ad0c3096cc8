"""Model files: the catalogue, where they come from, and the store that holds them."""
