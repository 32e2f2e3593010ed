"""Running model-written code: the jail and the languages in it."""
