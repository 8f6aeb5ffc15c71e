"""Which frames of which videos to label next. Nothing here ever sees a label."""
