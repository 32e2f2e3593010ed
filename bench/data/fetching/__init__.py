"""Getting the public sources: what a study needs, downloads, and what is derived from them."""
