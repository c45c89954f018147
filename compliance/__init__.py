"""Where an order may be refused: one rule a file, and the screen that runs them. Pure."""
