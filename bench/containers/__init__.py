"""Container images that the kit builds, and the engine that runs them."""
