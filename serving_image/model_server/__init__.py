"""A model server for Keras and TensorFlow models that counts the labels of its own predictions."""
