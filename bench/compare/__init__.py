"""Two runs side by side: what differs between them, and what became better or worse."""
