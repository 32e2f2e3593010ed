"""What is to be run: studies, cells, keys, stored results and the plan."""
