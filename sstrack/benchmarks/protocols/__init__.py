"""How a tracker is run on a sequence: once through, with resets, from anchors, in simulated real time."""
