"""Look at data, logs, cost and embeddings: what tools/analysis_tools calls."""
