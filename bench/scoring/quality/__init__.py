"""Static analysers of model-written code, one batched process per tool."""
