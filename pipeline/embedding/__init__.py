"""Parts of the stage `embed`: cards, preprocessing, and where embeddings come from."""
