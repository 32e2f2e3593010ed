"""What a GPU makes of a study's sizes: true shapes, random weights, random tokens, minutes."""
