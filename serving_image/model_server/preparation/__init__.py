"""Opens foreign model files in a process of their own, and turns .keras and .h5 into SavedModels."""
