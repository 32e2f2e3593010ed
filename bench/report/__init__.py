"""What people read: results.json, terminal, Markdown and HTML."""
