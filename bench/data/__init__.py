"""Sources, samples, prompts and packed rows."""
