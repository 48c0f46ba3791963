"""Trains, evaluates and exports the Keras models that the model server serves."""
