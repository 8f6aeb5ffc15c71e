"""Who answers when a frame is picked: the simulated annotator here, people later."""
