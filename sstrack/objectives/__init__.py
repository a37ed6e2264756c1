"""What training minimises. An objective is a function `(net, batch, generator, progress) -> (loss, metrics)`."""
