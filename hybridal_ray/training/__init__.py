"""From labelled frames to a trained detector: clips, pseudo-labels, losses, the loop of one worker."""
