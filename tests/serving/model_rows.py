"""What both those who make the models of the engine's tests and those who load them have to know."""

ROWS = [[0.5, -1.0], [2.0, 0.25], [0.0, 0.0]]
