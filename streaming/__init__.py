"""Fan-out of events and quotes to those who follow them: pure, no clock, no I/O."""
