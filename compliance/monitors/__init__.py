"""What is looked at after the trade: pure folds that raise alerts and refuse nothing."""
